// A small Worker with a binding KV: GET /KEY answers the value, PUT /KEY stores the body;
// GET /KEY?ten and PUT /KEY?ten do so with ten keys at once, KEY-0 to KEY-9.
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    const key = url.pathname.slice(1);
    const keys = url.search ? Array.from({ length: 10 }, (_, number) => `${key}-${number}`) : [key];
    if (request.method === "PUT") {
      const value = await request.text();
      await Promise.all(keys.map((key) => env.KV.put(key, value)));
      return new Response("stored");
    }
    const values = await Promise.all(keys.map((key) => env.KV.get(key)));
    const missing = values.includes(null);
    return new Response(missing ? "missing" : values[0], { status: missing ? 404 : 200 });
  },
};
