// What one user of Cloudflare's TypeScript SDK does; prints one JSON object: what came of each step.
// node typescript_client.mjs NODE_MODULES BASE_URL TOKEN ACCOUNT TITLE
import { createRequire } from "node:module";

const [modules, account_id, title] = process.argv.slice(2);
const Cloudflare = createRequire(`${modules}/`)("cloudflare").default;
const kv = new Cloudflare({ maxRetries: 0 }).kv.namespaces;
const ODD = "odd key é🤓 %2F+&=;:@!?#/";
const SOME = Array.from({ length: 1500 }, (_, i) => `bulk/${String(i).padStart(4, "0")}`);

const done = {};
const made = await kv.create({ account_id, title });
const at = { account_id, namespace_id: made.id };
done["create"] = made.title;
done["create again"] = await failure(kv.create({ account_id, title }));
done["get"] = (await kv.get(made.id, { account_id })).title;
done["list"] = (await collected(kv.list({ account_id }))).filter((one) => one.id === made.id).length;
done["rename"] = (await kv.update(made.id, { account_id, title: `${title}2` })).title;
try {
  await values();
  await many();
} finally {
  await kv.delete(made.id, { account_id });
}
// Another process of the gateway may not yet know of the deletion.
for (let tries = 0; tries < 300 && (done["get deleted"] ?? "fine") === "fine"; tries++) {
  done["get deleted"] = await failure(kv.get(made.id, { account_id }));
  await new Promise((resume) => setTimeout(resume, 100));
}
console.log(JSON.stringify(done));

async function values() {
  await kv.values.update(ODD, { ...at, value: "text é", metadata: '{"é":[1]}', expiration_ttl: 90 });
  const response = await kv.values.get(ODD, at);
  done["value"] = await response.text();
  done["expires"] = response.headers.get("expiration") - Date.parse(response.headers.get("date")) / 1000 > 60;
  done["metadata"] = await kv.metadata.get(ODD, at);
  done["name"] = (await collected(kv.keys.list(made.id, { account_id }))).map((key) => key.name);
  done["delete"] = await failure(kv.values.delete(ODD, at));
  const bytes = new Uint8Array([0, 255, 254]);
  await kv.values.update("bytes", { ...at, value: new File([bytes], "bytes.bin") });
  done["bytes"] = [...new Uint8Array(await (await kv.values.get("bytes", at)).arrayBuffer())];
  done["value of nothing"] = await failure(kv.values.get(ODD, at));
  done["metadata of nothing"] = await failure(kv.metadata.get(ODD, at));
  done["ttl too short"] = await failure(kv.values.update("k", { ...at, value: "v", expiration_ttl: 5 }));
}

async function many() {
  const body = SOME.map((key) => ({ key, value: key }));
  Object.assign(body[0], { metadata: { first: true }, value: "AAE=", base64: true });
  done["bulk put"] = await kv.bulkUpdate(made.id, { account_id, body });
  const listed = await collected(kv.keys.list(made.id, { account_id, prefix: "bulk/", limit: 1000 }));
  done["pages of names"] = listed.map((key) => key.name).join() === SOME.join();
  done["listed metadata"] = [listed[0]?.metadata, listed[1]?.metadata ?? null];
  done["bulk get"] = (await kv.bulkGet(made.id, { account_id, keys: [SOME[1], "missing"] })).values;
  const asked = { account_id, keys: [SOME[0]], withMetadata: true };
  done["bulk get with metadata"] = (await kv.bulkGet(made.id, asked)).values;
  done["bulk delete"] = await kv.bulkDelete(made.id, { account_id, body: SOME });
  done["nothing left"] = await collected(kv.keys.list(made.id, { account_id, prefix: "bulk/" }));
}

async function collected(pages) {
  const all = [];
  for await (const one of pages) all.push(one);
  return all;
}

// What a call fails with; "fine" when it does not.
function failure(call) {
  return call.then(
    () => "fine",
    (error) => `${error.constructor.name}: ${error.status} [${error.errors?.map(({ code }) => code)}]`,
  );
}
