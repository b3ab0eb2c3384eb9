// The engine of a page in front of a server, which is given each file as it is: headstart demo.

const PATIENCE = 20; // times that a busy server is asked again

async function asked(path, file) {
  for (let time = 0; ; time++) {
    const answer = await fetch(path, { method: "POST", body: file }).catch(() => {
      throw new Error("The server does not answer: is `headstart demo` still running?");
    });
    if (answer.ok) return answer;
    if (answer.status !== 429 || time === PATIENCE) throw new Error((await answer.json()).error);
    await new Promise((done) => setTimeout(done, 1000 * Number(answer.headers.get("Retry-After") ?? 1)));
  }
}

const engine = {
  ready: async () => "Ready",
  classify: async (file) => {
    if (file.size > facts.most_bytes) throw new Error(`It has ${(file.size / 1e6).toFixed(0)} MB, and the server takes ${facts.most_bytes / 1e6}.`);
    return (await asked("classify", file)).json();
  },
  get heat() {
    return facts.heat ? async (file, taken) => (await asked(`heat?class=${taken}`, file)).blob() : null;
  },
};
