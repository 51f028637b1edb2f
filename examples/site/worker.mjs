// A small site on Workers KV: pages and files from SITE, feature flags in FLAGS, sessions that end
// by themselves in SESSIONS. Nothing in it knows of Tandem.

const SESSION_S = 3600;
const NAME_CHARS_MAX = 64;
const KEY_BYTES_MAX = 512;
const COOKIE = "session";

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    const [, first, second, ...rest] = pathname.split("/");
    if (first !== "api") return asset(request, env.SITE, pathname);
    if (second === "flags") return flags(request, env.FLAGS, rest.join("/"));
    if (second === "session" && rest.length === 0) return session(request, env.SESSIONS);
    return answer(404, { error: "no such API" });
  },
};

// Files as `kvctl import` has stored them: the path is the key, the content type its metadata.
async function asset(request, site, pathname) {
  if (!["GET", "HEAD"].includes(request.method)) return answer(405, { error: "only GET and HEAD" });
  const name = keyName(pathname.slice(1) || "index.html");
  const found = name && (await site.getWithMetadata(name, { type: "stream", cacheTtl: 60 }));
  if (!found?.value) return new Response("There is no such page.\n", { status: 404 });
  const type = found.metadata?.contentType ?? "application/octet-stream";
  return new Response(found.value, { headers: { "Content-Type": type } });
}

// GET /api/flags        all flags
// PUT /api/flags/NAME   {"percent": 0 to 100}
// GET /api/flags/NAME?user=...   whether the flag is on for a user: always the same answer
// DELETE /api/flags/NAME
async function flags(request, kv, path) {
  if (path === "") return answer(200, await allFlags(kv));
  const name = keyName(path);
  if (!name) return answer(400, { error: `a flag's name has 1 to ${KEY_BYTES_MAX} bytes` });
  switch (request.method) {
    case "GET": {
      const percent = await kv.get(name, "json");
      if (percent === null) return answer(404, { error: `no flag ${name}` });
      const user = new URL(request.url).searchParams.get("user") ?? "";
      return answer(200, { flag: name, user, on: (await bucket(`${name} ${user}`)) < percent });
    }
    case "PUT": {
      const { percent } = await sent(request);
      if (!Number.isInteger(percent) || percent < 0 || percent > 100) {
        return answer(400, { error: "percent must be an integer from 0 to 100" });
      }
      await kv.put(name, JSON.stringify(percent), { metadata: { percent } });
      return answer(200, { flag: name, percent });
    }
    case "DELETE":
      await kv.delete(name);
      return answer(200, { flag: name, deleted: true });
    default:
      return answer(405, { error: "GET, PUT or DELETE" });
  }
}

// The metadata of a flag is its value, so a list needs no reads.
async function allFlags(kv) {
  const found = {};
  let cursor;
  do {
    const page = await kv.list({ cursor });
    for (const key of page.keys) found[key.name] = key.metadata.percent;
    cursor = page.list_complete ? undefined : page.cursor;
  } while (cursor);
  return found;
}

async function bucket(text) {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return new DataView(digest).getUint32(0) % 100;
}

// POST {"name"}: a session for an hour. GET: whose it is. DELETE: the end of it.
async function session(request, kv) {
  const id = cookie(request);
  switch (request.method) {
    case "POST": {
      const { name } = await sent(request);
      if (typeof name !== "string" || !name || name.length > NAME_CHARS_MAX) {
        return answer(400, { error: `name must have 1 to ${NAME_CHARS_MAX} characters` });
      }
      const made = crypto.randomUUID();
      await kv.put(made, JSON.stringify({ name }), { expirationTtl: SESSION_S });
      return answer(201, { name }, { "Set-Cookie": cookieFor(made, SESSION_S) });
    }
    case "GET": {
      const found = id && (await kv.get(id, "json"));
      return found ? answer(200, found) : answer(401, { error: "no session" });
    }
    case "DELETE":
      if (id) await kv.delete(id);
      return answer(200, { ended: true }, { "Set-Cookie": cookieFor("", 0) });
    default:
      return answer(405, { error: "POST, GET or DELETE" });
  }
}

// The key that a path names, if there can be one: what is no URL encoding or too long names none.
function keyName(path) {
  try {
    const name = decodeURIComponent(path);
    return new TextEncoder().encode(name).length <= KEY_BYTES_MAX ? name : undefined;
  } catch {
    return undefined;
  }
}

// The object that a request has for a body; an empty one if it has none.
async function sent(request) {
  return (await request.json().catch(() => null)) ?? {};
}

function cookie(request) {
  const found = /(?:^|;\s*)session=([0-9a-f-]{36})/.exec(request.headers.get("Cookie") ?? "");
  return found?.[1];
}

function cookieFor(id, seconds) {
  return `${COOKIE}=${id}; Max-Age=${seconds}; Path=/; HttpOnly; SameSite=Strict`;
}

function answer(status, body, headers = {}) {
  return Response.json(body, { status, headers });
}
