// Runs a Worker on Miniflare, with a KV of its own or with an adapter of `kvctl workers` as its KV:
// node miniflare.mjs NODE_MODULES WORKER PORT [ADAPTER-DIRECTORY]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, worker, port, adapter] = process.argv.slice(2);
const { convertV4MiniflareOptions, Miniflare } = createRequire(`${modules}/`)("miniflare");
const main = {
  name: "main",
  modules: true,
  script: readFileSync(worker, "utf8"),
  compatibilityDate: "2025-05-01",
  unsafeEvalBinding: "EVAL",
};
const miniflare = new Miniflare(
  convertV4MiniflareOptions({ host: "127.0.0.1", port: Number(port), workers: workers() }),
);
process.on("SIGTERM", () => miniflare.dispose().then(() => process.exit(0)));
await miniflare.ready;

function workers() {
  if (adapter === undefined) return [{ ...main, kvNamespaces: ["KV"] }];
  const configuration = JSON.parse(readFileSync(`${adapter}/wrangler.json`, "utf8"));
  const { name, compatibility_date, vars } = configuration;
  const [, token] = readFileSync(`${adapter}/.dev.vars`, "utf8").match(/^TANDEM_TOKEN="(.*)"$/m);
  return [
    { ...main, serviceBindings: { KV: { name, entrypoint: "KV" } } },
    {
      name,
      modules: true,
      script: readFileSync(`${adapter}/${configuration.main}`, "utf8"),
      compatibilityDate: compatibility_date,
      bindings: { ...vars, TANDEM_TOKEN: token },
    },
  ];
}
