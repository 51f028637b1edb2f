// A small Worker with a binding KV: GET /KEY answers the value, PUT /KEY stores the body.
export default {
  async fetch(request, env) {
    const key = new URL(request.url).pathname.slice(1);
    if (request.method === "PUT") {
      await env.KV.put(key, await request.text());
      return new Response("stored");
    }
    const value = await env.KV.get(key);
    return new Response(value ?? "missing", { status: value === null ? 404 : 200 });
  },
};
