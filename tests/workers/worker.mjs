// The Worker that every runtime runs: it evaluates a script that uses its binding KV, and says what
// came of it. What a script may use besides `kv` is in `tools`.

const encoder = new TextEncoder();

const tools = {
  bytes: (...numbers) => new Uint8Array(numbers),
  filled: (length) => new Uint8Array(length).fill(97),
  // What a promise fails with; "fine" when it does not.
  failure: (promise) => promise.then(() => "fine", (error) => `${error.name}: ${error.message}`),
  // A stream whose length nobody knows. An Error among the pieces breaks it off.
  streamed: (...pieces) => new ReadableStream({
    async start(controller) {
      for (const piece of pieces) {
        if (piece instanceof Error) return controller.error(piece);
        controller.enqueue(typeof piece === "string" ? encoder.encode(piece) : piece);
        await scheduler.wait(1);
      }
      controller.close();
    },
  }),
  digest: async (data) => hex(await crypto.subtle.digest("SHA-256", data)),
  now: () => Math.floor(Date.now() / 1000),
  names: (page) => page.keys.map((key) => key.name),
};

export default {
  async fetch(request, env) {
    const script = await request.text();
    try {
      await clear(env.KV);
      const run = env.EVAL.newAsyncFunction(script, "script", "kv", ...Object.keys(tools));
      const result = await run(env.KV, ...Object.values(tools));
      return Response.json({ result: plain(result) });
    } catch (error) {
      return Response.json({ error: `${error.name}: ${error.message}` });
    }
  },
};

async function clear(kv) {
  for (;;) {
    const page = await kv.list();
    await Promise.all(page.keys.map((key) => kv.delete(key.name)));
    if (page.list_complete) return;
  }
}

// JSON has no bytes, maps and undefined; Python tells the results apart by these forms.
function plain(value) {
  if (value === undefined) return "undefined";
  if (value instanceof ArrayBuffer) return { bytes: [...new Uint8Array(value)] };
  if (value instanceof Map) return { map: [...value].map(([key, one]) => [key, plain(one)]) };
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  const { cacheStatus, ...rest } = value; // null in Miniflare, and how it comes to be elsewhere
  return Object.fromEntries(Object.entries(rest).map(([key, one]) => [key, plain(one)]));
}

function hex(buffer) {
  return [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
