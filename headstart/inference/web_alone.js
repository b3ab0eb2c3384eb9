// The engine of a page that needs nobody: `ort` (onnxruntime-web) and the network are in the page, packed.

const MOST_PIXELS = 50_000_000; // of a picture: the graph takes some 30 bytes for each, and a page has 2 to 4 GB
const STRIP_PIXELS = 4_000_000; // read from a canvas at a time: a phone's canvas has no more than 16 million

async function unpacked(id) {
  const node = document.getElementById(id);
  const text = atob(node.textContent);
  node.remove();
  const packed = new Uint8Array(text.length);
  for (let at = 0; at < packed.length; at++) packed[at] = text.charCodeAt(at);
  const whole = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(whole).arrayBuffer());
}

/** The pixels of a picture of its own size, upright, RGB, as Python reads them: never resized here. */
async function pixelsOf(file) {
  const as = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(file, as).catch(() => {
    throw new Error(`This browser reads no picture in ${file.name}: JPEG, PNG, WebP, GIF, BMP and AVIF are read.`);
  });
  try {
    const { width, height } = bitmap;
    if (width * height > MOST_PIXELS) throw new Error(`It has ${(width * height / 1e6).toFixed(0)} million pixels, and more than ${MOST_PIXELS / 1e6} do not fit into a page: give a smaller copy.`);
    const pixels = new Uint8Array(3 * width * height);
    const rows = Math.max(1, Math.min(height, Math.floor(STRIP_PIXELS / width)));
    const canvas = Object.assign(document.createElement("canvas"), { width, height: rows });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    for (let top = 0, to = 0; top < height; top += rows) {
      const taken = Math.min(rows, height - top);
      context.fillStyle = "#fff"; // what shows through transparent pixels, as in training
      context.fillRect(0, 0, width, taken);
      context.drawImage(bitmap, 0, top, width, taken, 0, 0, width, taken);
      const { data } = context.getImageData(0, 0, width, taken);
      for (let at = 0; at < data.length; at += 4) {
        pixels[to++] = data[at];
        pixels[to++] = data[at + 1];
        pixels[to++] = data[at + 2];
      }
    }
    return { pixels, width, height };
  } finally {
    bitmap.close();
  }
}

const engine = {
  async ready(say) {
    if (typeof WebAssembly !== "object" || typeof DecompressionStream !== "function")
      throw new Error("this browser is too old: take a current Chrome, Edge, Firefox or Safari.");
    const started = performance.now();
    say("Getting ready: unpacking the network …");
    await new Promise((done) => setTimeout(done, 50));
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmBinary = (await unpacked("wasm")).buffer;
    this.session = await ort.InferenceSession.create(await unpacked("network"), { executionProviders: ["wasm"] });
    return `Ready, after ${((performance.now() - started) / 1000).toFixed(1)} s`;
  },

  async classify(file) {
    const { pixels, width, height } = await pixelsOf(file);
    const given = { pixels: new ort.Tensor("uint8", pixels, [1, height, width, 3]) };
    const { probabilities, distances } = await this.session.run(given);
    const doubts = [];
    if (facts.least !== null && Math.max(...probabilities.data) < facts.least) doubts.push(facts.unsure);
    if (facts.farthest !== null && distances.data[0] > facts.farthest) doubts.push(facts.unlike);
    return { probabilities: probabilities.data, width, height, doubts };
  },
};
