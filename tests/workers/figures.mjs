// What the dashboard makes of two readings of metrics; prints a JSON list, one result for each call.
// node figures.mjs FIGURES_JS BEFORE AFTER SECONDS CALLS, the last as JSON: [[function, ...], ...]
import { pathToFileURL } from "node:url";

const [module, before, after, seconds, calls] = process.argv.slice(2);
const figures = await import(pathToFileURL(module));
const two = [figures.reading(before, 0), figures.reading(after, seconds * 1000)];
console.log(JSON.stringify(JSON.parse(calls).map(([name, ...rest]) => figures[name](...two, ...rest))));
