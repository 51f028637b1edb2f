// Runs a Worker on Miniflare with a KV of its own, kept on disk:
// node miniflare.mjs NODE_MODULES WORKER PORT DIRECTORY
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const [modules, worker, port, directory] = process.argv.slice(2);
const { convertV4MiniflareOptions, Miniflare } = createRequire(`${modules}/`)("miniflare");
const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    host: "127.0.0.1",
    port: Number(port),
    kvPersist: directory,
    modules: true,
    script: readFileSync(worker, "utf8"),
    compatibilityDate: "2025-05-01",
    kvNamespaces: ["KV"],
  }),
);
process.on("SIGTERM", () => miniflare.dispose().then(() => process.exit(0)));
await miniflare.ready;
