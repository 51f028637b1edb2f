// What a browser makes of the dashboard: prints the text that can be seen of its parts, as JSON, once
// all that is asked for can be seen. node dashboard.mjs NODE_MODULES URL WHAT...
import { pathToFileURL } from "node:url";

const [modules, url, ...wanted] = process.argv.slice(2);
const { Browser } = await import(pathToFileURL(`${modules}/happy-dom/lib/index.js`));
const browser = new Browser({
  settings: { enableJavaScriptEvaluation: true, suppressInsecureJavaScriptEnvironmentWarning: true, disableCSSFileLoading: true, handleDisabledFileLoadingAsSuccess: true },
});
const page = browser.newPage();
await page.goto(url);
const { document, location } = page.mainFrame.window;
const parts = ["door", "silence", "shown", "gateway", "verdict", "homes", "charts", "facts"];
const seen = (part) => (part.closest("[hidden]") ? "" : part.textContent);
const text = (id) => seen(document.getElementById(id));
const isSeen = (words) => parts.some((id) => text(id).includes(words));
while (!wanted.every(isSeen)) await new Promise((done) => setTimeout(done, 50));
console.log(JSON.stringify({ url: location.href, ...Object.fromEntries(parts.map((id) => [id, text(id)])) }));
await browser.close();
process.exit(0);
