"""`headstart push`: card, weights and exports of a comparison, in one commit on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import disable_progress_bars, validate_repo_id

from headstart.errors import HeadstartError
from headstart.results import runs
from headstart.results.comparison import chosen_run
from headstart.results.files import json_text
from headstart.runtime.console import console, say
from headstart.runtime.text import published, shorten, shown

README = "README.md"  # what the hub shows of a repository
NO_NETWORK = HfHubHTTPError.__bases__  # that of the errors of whichever HTTP client the hub's package has, and OSError
LONGEST = 200  # letters of what the hub said
REFUSED = {
    401: "the hub does not know this token: make another, then set HF_TOKEN or run `hf auth login`",
    403: "this token may not write to {repository}: make one that may, or name a repository of your own",
}


def push(folder: Path, repository: str, *, private: bool = False, revision: str | None = None) -> str:
    """Publish what a comparison recommends; returns its address.

    repository: user/name, made where it is not there. private: for its owner alone. revision: a branch, made where it
    is not there (None: main). What will be seen by whom is said before anything is sent. Raises HeadstartError where
    there is no card, no weights, no token or no network, and where the hub refuses.
    """
    _refuse_name(repository)
    files = files_of(folder)
    if get_token() is None:
        raise HeadstartError("the hub wants a token that may write: set HF_TOKEN, or run `hf auth login`")
    if not console.is_interactive:
        disable_progress_bars()
    api = HfApi()
    with _told(repository, api.endpoint):
        api.create_repo(repository, private=private or None, exist_ok=True)
        is_private = bool(api.repo_info(repository).private)
        if private and not is_private:
            raise HeadstartError(f"{repository} is there, and public: --private is for a new one; name another")
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        say(f"to {'those who may see' if is_private else 'everybody, as'} {repository}, with its {_classes(folder)}:")
        for name, content in files.items():
            size = len(content) if isinstance(content, bytes) else content.stat().st_size
            say(f"  {size / 1e6:10,.3f} MB  {shown(name)}")
        there = api.list_repo_files(repository, revision=revision)
        gone = [name for name in there if name.startswith(f"{runs.EXPORTS}/") and name not in files]
        api.create_commit(
            repository,
            operations=[
                *(CommitOperationAdd(name, content) for name, content in files.items()),
                *(CommitOperationDelete(name) for name in gone),
            ],
            commit_message=f"headstart push: {chosen_run(folder).candidate}",
            revision=revision,
        )
    return f"{api.endpoint}/{repository}" + (f"/tree/{revision}" if revision else "")


def files_of(folder: Path) -> dict[str, Path | bytes]:
    """Name in the repository -> what is published there, of a comparison's folder; HeadstartError where it lacks that.

    config.json is published without the command that was typed and the folders above the data.
    """
    if not runs.find_runs(folder):
        raise HeadstartError(f"{shown(folder)} is no comparison's folder: {runs.why_none(folder)}")
    card, run = folder / runs.CARD, chosen_run(folder)
    if not card.is_file():
        raise HeadstartError(f"{shown(card)} is missing: `headstart report {shown(folder)}` writes it")
    if not runs.has_model(run.folder):
        raise HeadstartError(f"{shown(run.model)} is missing: there are no weights to publish")
    config = run.config
    data = {**config["dataset"], "source": published(config["dataset"]["source"])}
    public = json_text({**config, "command": None, "dataset": data}).encode("utf-8")
    exports = (path for path in sorted((folder / runs.EXPORTS).rglob("*")) if path.is_file())
    return {
        README: card,
        runs.CONFIG: public,
        runs.MODEL: run.model,
        **{path.relative_to(folder).as_posix(): path for path in exports},
    }


def _refuse_name(repository: str) -> None:
    try:
        validate_repo_id(repository)
    except HFValidationError:
        named = False
    else:
        named = repository.count("/") == 1
    if not named:
        raise HeadstartError(f"{shown(repository)!r} is no name of a repository: USER/NAME, letters, digits, - _ .")


def _classes(folder: Path) -> str:
    names = chosen_run(folder).config["dataset"]["class_names"]
    return f"{len(names)} class names"


@contextmanager
def _told(repository: str, endpoint: str) -> Iterator[None]:
    """While the hub is asked: HeadstartError for what it says, and for there being no way to it."""
    try:
        yield
    except HeadstartError:
        raise
    except Exception as error:
        for each in _causes(error):
            if isinstance(each, HfHubHTTPError):
                raise HeadstartError(_refused(each, repository)) from None
            if isinstance(each, OfflineModeIsEnabled):
                raise HeadstartError("HF_HUB_OFFLINE is set: the hub is not asked; unset it to publish") from None
            if isinstance(each, NO_NETWORK) and getattr(each, "filename", None) is None:  # no file of ours
                why = shorten(" ".join(str(each).split()), LONGEST) or type(each).__name__
                raise HeadstartError(f"the hub at {endpoint} cannot be reached: {why}; nothing was published") from None
        raise


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _refused(error: HfHubHTTPError, repository: str) -> str:
    response: Any = error.response
    status = getattr(response, "status_code", None)
    if status in REFUSED:
        return REFUSED[status].format(repository=repository)
    said = shorten(shown(" ".join(str(error.server_message or error).split())), LONGEST)
    return f"the hub refused {repository} ({status}): {said}"
