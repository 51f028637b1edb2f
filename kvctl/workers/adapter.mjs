// Tandem KV as a binding of `wrangler dev` and Miniflare, which cannot be pointed at a KV of one's
// own: each class below is bound as a service, and its methods are those of a KV namespace.
import { WorkerEntrypoint } from "cloudflare:workers";

const KEY_BYTES_MAX = 512;
const METADATA_BYTES_MAX = 1024;
const INT32_MAX = 2 ** 31 - 1;
const encoder = new TextEncoder();

class Namespace extends WorkerEntrypoint {
  async get(key, options) {
    demand("get", arguments, "string or Array");
    const read = Array.isArray(key) ? await this.#bulk(key, options, false) : await this.#read(key, options);
    return read instanceof Map ? read : read.value;
  }

  async getWithMetadata(key, options) {
    demand("getWithMetadata", arguments, "Array or string");
    return Array.isArray(key) ? this.#bulk(key, options, true) : this.#read(key, options);
  }

  async put(key, value, options) {
    demand("put", arguments, "string", "string or Object");
    const { expiration, expirationTtl, metadata } = dictionary("put", 3, "PutOptions", options);
    const query = new URLSearchParams({ urlencoded: "true" });
    if (expiration !== undefined) query.set("expiration", integer(expiration));
    if (expirationTtl !== undefined) query.set("expiration_ttl", integer(expirationTtl));
    const headers = {};
    if (metadata !== undefined && metadata !== null) {
      headers["CF-KV-Metadata"] = metadataHeader(metadata);
    }
    await this.#ask("PUT", `/${named("PUT", key)}?${query}`, { headers, body: body(value) });
  }

  async delete(key) {
    demand("delete", arguments, "string");
    await this.#ask("DELETE", `/${named("DELETE", key)}?urlencoded=true`);
  }

  async list(options) {
    const { limit, prefix, cursor } = dictionary("list", 1, "ListOptions", options);
    const query = new URLSearchParams();
    const count = limit === undefined ? 0 : integer(limit);
    if (count >= 1) query.set("key_count_limit", count);
    const texts = Object.entries({ prefix, cursor }).filter(([, text]) => (text ?? null) !== null);
    const rest = texts.map(([name, text]) => `&${name}=${percentEncoded(String(text))}`).join("");
    const response = await this.#ask("GET", `/?${query}${rest}`);
    const page = await response.json();
    for (const key of page.keys) {
      if (typeof key.metadata === "string") key.metadata = JSON.parse(key.metadata);
    }
    return { ...page, cacheStatus: cacheStatus(response) };
  }

  async #read(key, options) {
    const { type = "text", cacheTtl } = readOptions(options);
    const query = new URLSearchParams({ urlencoded: "true" });
    if (cacheTtl !== undefined) query.set("cache_ttl", integer(cacheTtl));
    const response = await this.#ask("GET", `/${named("GET", key)}?${query}`, {}, [404, 410]);
    if (!response.ok) {
      await response.body?.cancel();
      return { value: null, metadata: null, cacheStatus: cacheStatus(response) };
    }
    const metadata = response.headers.get("CF-KV-Metadata");
    return {
      value: await valueOf(response, type),
      metadata: metadata ? JSON.parse(metadata) : null,
      cacheStatus: cacheStatus(response),
    };
  }

  async #bulk(keys, options, withMetadata) {
    const { type, cacheTtl } = readOptions(options);
    const question = { keys: keys.map(wellFormed) };
    if (type !== undefined && String(type) !== "") question.type = wellFormed(type);
    if (withMetadata) question.withMetadata = true;
    if (cacheTtl !== undefined) question.cacheTtl = integer(cacheTtl);
    const headers = { "Content-Type": "application/json" };
    const response = await this.#ask("POST", "/bulk/get", { headers, body: JSON.stringify(question) });
    const found = await response.json();
    return new Map(question.keys.map((key) => [key, Object.hasOwn(found, key) ? found[key] : null]));
  }

  async #ask(method, path, { headers = {}, body } = {}, alsoFine = []) {
    const { TANDEM_URL, TANDEM_TOKEN } = this.env;
    const authorization = TANDEM_TOKEN ? { Authorization: `Bearer ${TANDEM_TOKEN}` } : {};
    const response = await fetch(`${TANDEM_URL}${path}`, {
      method,
      body,
      headers: { ...headers, ...authorization, "CF-KV-Namespace-ID": this.id },
    });
    if (response.ok || alsoFine.includes(response.status)) return response;
    await response.body?.cancel();
    const operation = path === "/bulk/get" ? "GET_BULK" : method;
    throw new Error(`KV ${operation} failed: ${response.status} ${response.statusText}`);
  }
}

// An argument that was forgotten is no `undefined`, which is a key or a value like any other.
function demand(method, given, ...kinds) {
  if (given.length < kinds.length) throw mistyped(method, given.length + 1, kinds[given.length]);
}

function dictionary(method, position, kind, options) {
  if (typeof (options ?? {}) !== "object") throw mistyped(method, position, kind);
  return options ?? {};
}

function readOptions(options) {
  return typeof (options ?? {}) === "object" ? (options ?? {}) : { type: String(options) };
}

function mistyped(method, position, kind) {
  const parameter = `parameter ${position} is not of type '${kind}'`;
  return new TypeError(`Failed to execute '${method}' on 'KvNamespace': ${parameter}.`);
}

function named(operation, key) {
  const name = String(key);
  if (name === "") throw new TypeError("Key name cannot be empty.");
  if (name === "." || name === "..") throw new TypeError(`"${name}" is not allowed as a key name.`);
  const length = encoder.encode(name).length;
  if (length <= KEY_BYTES_MAX) return percentEncoded(name);
  const limit = `exceeds key length limit of ${KEY_BYTES_MAX}.`;
  throw new Error(`KV ${operation} failed: 414 UTF-8 encoded length of ${length} ${limit}`);
}

// As the runtime has it: a half of a surrogate pair is three bytes that are no UTF-8, for the gateway
// to refuse. In JSON each of these bytes has become a character of its own.
function percentEncoded(text) {
  const unit = (half) => half.charCodeAt(0);
  const bytes = (half) => [0xed, 0x80 | ((unit(half) >> 6) & 0x3f), 0x80 | (unit(half) & 0x3f)];
  const escaped = (half) => bytes(half).map((byte) => `%${byte.toString(16).toUpperCase()}`).join("");
  return text.split(/(\p{Surrogate})/u).map((part, at) => at % 2 ? escaped(part) : encodeURIComponent(part)).join("");
}

function wellFormed(text) {
  return String(text).replace(/\p{Surrogate}/gu, "\ufffd\ufffd\ufffd");
}

// In ASCII where that fits: the runtime warns of every other header.
function metadataHeader(metadata) {
  const text = JSON.stringify(metadata);
  const escape = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const ascii = String(text).replace(/[\u0080-\uffff]/g, escape);
  return ascii.length <= METADATA_BYTES_MAX ? ascii : text;
}

function body(value) {
  if (value instanceof ReadableStream || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    return value;
  }
  if (typeof value === "function" || (typeof value === "object" && value !== null)) {
    throw new TypeError(
      "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values.",
    );
  }
  return String(value);
}

function valueOf(response, type) {
  switch (type) {
    case "text": return response.text();
    case "json": return response.json();
    case "arrayBuffer": return response.arrayBuffer();
    case "stream": return response.body;
    default:
      throw new TypeError(
        'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".',
      );
  }
}

function cacheStatus(response) {
  return response.headers.get("CF-Cache-Status");
}

function integer(number) {
  const whole = Math.trunc(+number) || 0; // of a BigInt there is no `+`
  if (Number.isFinite(whole) && Math.abs(whole) > INT32_MAX) {
    const range = `Must be between ${-INT32_MAX - 1} and ${INT32_MAX} (inclusive).`;
    throw new TypeError(`Value out of range. ${range}`);
  }
  return String(Number.isFinite(whole) ? whole : 0);
}

export default { fetch: () => new Response("Tandem KV: bind a class of this Worker as a service\n") };
