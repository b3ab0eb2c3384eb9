from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tiny_page import jpeg_of, make_run, picture

from headstart.errors import HeadstartError
from headstart.evaluation.selective import Answered
from headstart.inference.classifier import Classifier
from headstart.inference.doubt import Doubts
from headstart.inference.novelty import Limit, Novelty
from headstart.inference.predict import Trained
from headstart.inference.unsure import Sureness

pytest.importorskip("starlette", reason="starlette is not installed")
pytest.importorskip("httpx2", reason="httpx2 is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
from starlette.testclient import TestClient

from headstart.inference import demo

PHOTO = jpeg_of(picture("red", "green", "blue", "green"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "corners-1", novelty=False)


@pytest.fixture(scope="module")
def client(run):
    with TestClient(demo.application(run.folder), base_url="http://127.0.0.1:7860") as client:
        yield client


def test_the_page_may_ask_its_own_server_alone_and_nobody_may_frame_it(client):
    found = client.get("/")
    policy = found.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "connect-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert demo.HEADERS.items() <= {name.title(): value for name, value in found.headers.items()}.items()
    assert "none is kept" in found.text


def test_a_photo_is_classified_as_the_classifier_does_it(client, run, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(PHOTO)
    found = client.post("/classify", content=PHOTO).json()
    [expected] = Classifier.load(run.folder).predict_proba(tmp_path / "photo.jpg")
    assert np.allclose(found["probabilities"], expected, atol=1e-5)
    assert (found["width"], found["height"], found["doubts"]) == (40, 24, [])


def test_an_answer_has_its_doubts(run):
    trained, never = Trained(run.folder), Sureness(0.9, 0.9999, "val", Answered(100, 60, None), None)
    assert demo.answer(trained, Doubts((never,)), PHOTO)["doubts"] == ["Unsure: below 99.99 %."]
    trained.novelty = Novelty(Limit(-1.0, 99, None), trained.outputs(np.zeros((1, 16, 16, 3), np.uint8))[1])
    assert demo.answer(trained, Doubts((), trained.novelty.limit), PHOTO)["doubts"] == [
        "Unlike the pictures that it was trained on."
    ]


def test_a_heat_map_has_the_shape_of_the_photo(client):
    pytest.importorskip("pytorch_grad_cam")
    found = client.post("/heat?class=1", content=PHOTO)
    assert found.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(found.content)).size == (16, 10)  # of the 16 pixels a side that the network sees
    for taken in ("3", "-1", "one", ""):
        assert client.post(f"/heat?class={taken}", content=PHOTO).status_code == 400


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "the file is empty"),
        (b"<html>", "an HTML page, no image"),
        (PHOTO[:300], "damaged: "),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "no image in any of JPEG, PNG"),
    ],
    ids=["empty", "page", "truncated", "garbage"],
)
@pytest.mark.parametrize("path", ["/classify", "/heat?class=0"])
def test_what_gives_no_image_is_answered_in_a_line(client, path, content, why):
    found = client.post(path, content=content)
    assert found.status_code == 422
    assert found.json()["error"].startswith(why)


def test_a_picture_of_too_many_pixels_is_not_decoded(client):
    file = io.BytesIO()
    Image.new("1", (8_000, 7_000)).save(file, "PNG")
    found = client.post("/classify", content=file.getvalue())
    assert found.status_code == 422
    assert found.json() == {"error": "8,000 x 7,000 pixels, more than 50,000,000"}


@pytest.mark.parametrize("said", [True, False], ids=["said", "in parts"])
def test_a_file_of_too_many_bytes_is_not_received(client, monkeypatch, said):
    monkeypatch.setattr(demo, "MOST_BYTES", 1000)
    found = client.post("/classify", content=PHOTO * 9 if said else iter([PHOTO] * 9))
    assert found.status_code == 413


def test_beyond_so_many_in_hand_one_is_asked_to_come_again(run, monkeypatch):
    monkeypatch.setattr(demo, "WAITING", 0)
    with TestClient(demo.application(run.folder), base_url="http://localhost") as client:
        found = client.post("/classify", content=PHOTO)
    assert (found.status_code, found.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:7860"}, 421),
        ({"host": "127.0.0.1.evil.example"}, 421),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:7860"}, 200),
        ({"host": "192.168.1.7"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:7860"}, 200),
    ],
)
def test_another_sites_name_or_page_is_refused(client, headers, status):
    assert client.get("/", headers=headers).status_code == status


def test_a_port_that_is_taken_is_told(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            HeadstartError, match=rf"port {port} of 127\.0\.0\.1 cannot be had \(Address already in use\)"
        ):
            demo.serve(run.folder, port=port)


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_control_c_ends_it_without_complaint(run):
    command = [sys.executable, "-m", "headstart", "demo", str(run.folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        address = next(line for line in child.stderr if "http" in line).split()[0]
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as asked:
            asked.sendall(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert asked.recv(12) == b"HTTP/1.1 200"
        child.send_signal(signal.SIGINT)
        assert child.stderr.read() == "ended; nothing that was given is kept\n"
        assert child.wait() == 0
