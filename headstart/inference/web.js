// What a person does with the page: pictures come in, answers come out. Who computes them is `engine`, written before
// this: ready() -> promise of words; classify(file) -> {probabilities, width, height, doubts}; heat(file, taken) -> blob
// or null where there are no heat maps.

const SHOWN = 5; // classes of an answer
const MOST_AT_ONCE = 100; // pictures that one drop may hold
const facts = JSON.parse(document.getElementById("facts").textContent);
const the = (id) => document.getElementById(id);
const percent = (share) => `${share > 0.0995 && share < 0.995 ? (100 * share).toFixed(0) : (100 * share).toFixed(1)}\u00a0%`;
// A name in a script from right to left turns nothing round that stands beside it.
const apart = (name) => Object.assign(document.createElement("bdi"), { textContent: name });
const say = (words) => { the("status").textContent = words; };

const ready = engine.ready(say).then((words) => { say(words); document.body.dataset.ready = "yes"; });
ready.catch((error) => say(`It cannot compute here: ${error.message}`));

let queue = Promise.resolve();
function give(files, truth) {
  const all = [...files];
  for (const file of all.slice(0, MOST_AT_ONCE)) {
    const card = pending(file);
    queue = queue.then(() => ready).then(() => answered(card, file, truth)).catch((error) => refused(card, file, error));
  }
  if (all.length > MOST_AT_ONCE) say(`The first ${MOST_AT_ONCE} of ${all.length} pictures are taken: give the others afterwards.`);
}

function pending(file) {
  const card = the("answer").content.firstElementChild.cloneNode(true);
  card.classList.add("waiting");
  card.querySelector("h3").textContent = "…";
  card.querySelector("p.muted").textContent = file.name;
  const image = card.querySelector("img");
  image.src = URL.createObjectURL(file);
  image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  image.addEventListener("error", () => card.classList.add("blank"), { once: true });
  the("list").prepend(card);
  the("found").hidden = false;
  return card;
}

async function answered(card, file, truth) {
  if (!card.isConnected) return;
  await new Promise((done) => setTimeout(done)); // the page is drawn before the next picture takes the processor
  const started = performance.now();
  const answer = await engine.classify(file);
  const took = performance.now() - started;
  const order = [...answer.probabilities.keys()].sort((a, b) => answer.probabilities[b] - answer.probabilities[a]);
  const name = facts.classes[order[0]];
  card.dataset.probabilities = JSON.stringify([...answer.probabilities]);
  card.dataset.milliseconds = took.toFixed(1);
  card.querySelector("h3").replaceChildren(apart(name), answer.doubts.length ? "?" : "");
  card.querySelector("img").alt = `${file.name}: ${name}`;
  const bars = order.slice(0, SHOWN).map((taken) => {
    const bar = document.createElement("li");
    const line = document.createElement("i");
    line.style.setProperty("--share", `${100 * answer.probabilities[taken]}%`);
    bar.append(apart(facts.classes[taken]), Object.assign(document.createElement("span"), { textContent: percent(answer.probabilities[taken]) }), line);
    return bar;
  });
  card.querySelector(".bars").replaceChildren(...bars);
  const doubt = card.querySelector(".doubt");
  doubt.hidden = !answer.doubts.length;
  doubt.textContent = answer.doubts.join(" ");
  const size = `${answer.width.toLocaleString("en")} × ${answer.height.toLocaleString("en")} pixels`;
  const known = truth === undefined ? [apart(file.name)] : ["Test picture; its label is ", apart(truth)];
  card.querySelector("p.muted").replaceChildren(...known, ` · ${size} · ${took.toFixed(0)} ms`);
  const button = card.querySelector("button");
  if (engine.heat) {
    button.hidden = false;
    button.addEventListener("click", () => warm(card, button, file, order[0]));
  }
  card.classList.remove("waiting");
  say(`${file.name}: ${name}, ${percent(answer.probabilities[order[0]])}. ${answer.doubts.join(" ")}`);
}

async function warm(card, button, file, taken) {
  button.disabled = true;
  try {
    const image = card.querySelector(".heat");
    image.src = URL.createObjectURL(await engine.heat(file, taken));
    image.alt = `The same as a heat map: where it looked for ${facts.classes[taken]}`;
    image.hidden = false;
    button.hidden = true;
  } catch (error) {
    say(error.message);
    button.disabled = false;
  }
}

function refused(card, file, error) {
  card.classList.replace("waiting", "refused");
  card.querySelector("h3").textContent = "No answer";
  card.querySelector(".doubt").hidden = false;
  card.querySelector(".doubt").textContent = error.message;
  say(`${file.name}: ${error.message}`);
}

// Ways in
the("files").addEventListener("change", (event) => { give(event.target.files); event.target.value = ""; });
the("clear").addEventListener("click", () => { the("list").replaceChildren(); the("found").hidden = true; the("files").focus(); });
for (const name of ["dragover", "dragenter"])
  addEventListener(name, (event) => { event.preventDefault(); the("drop").classList.add("over"); });
addEventListener("dragleave", (event) => { if (!event.relatedTarget) the("drop").classList.remove("over"); });
addEventListener("drop", (event) => {
  event.preventDefault();
  the("drop").classList.remove("over");
  event.dataTransfer.files.length ? give(event.dataTransfer.files) : say("No file was dropped: save the picture first, or copy and paste it.");
});
addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files];
  files.length ? give(files) : say("What was pasted holds no picture.");
});
for (const button of document.querySelectorAll(".examples button"))
  button.addEventListener("click", () => {
    const jpeg = Uint8Array.from(atob(button.querySelector("img").src.split(",")[1]), (letter) => letter.charCodeAt(0));
    give([new File([jpeg], button.querySelector("img").alt, { type: "image/jpeg" })], button.dataset.class);
  });

// The camera
const NO_CAMERA = "There is no camera to be had here. A photo from the camera app can be chosen or dropped.";
let stream = null;
the("camera").addEventListener("click", async () => {
  try {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error("no camera for pages from a file");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1920 } }, audio: false });
  } catch (error) {
    return say(`${NO_CAMERA} (The browser says: ${error.message})`);
  }
  the("video").srcObject = stream;
  the("shooting").showModal();
});
the("shoot").addEventListener("click", async () => {
  const video = the("video");
  if (!video.videoWidth) return;
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  const picture = await new Promise((done) => canvas.toBlob(done, "image/png"));
  the("shooting").close();
  give([new File([picture], `Camera, ${new Date().toLocaleTimeString("en-GB")}`, { type: "image/png" })]);
});
the("leave").addEventListener("click", () => the("shooting").close());
the("shooting").addEventListener("close", () => { for (const track of stream?.getTracks() ?? []) track.stop(); stream = null; });
