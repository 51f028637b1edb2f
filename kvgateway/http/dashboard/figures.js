// What two readings of a gateway's metrics tell of the time between them.

/** A reading: when it was taken, and the samples of Prometheus' text by their names. */
export function reading(text, atMs) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!found) continue;
    const labels = Object.fromEntries(
      [...(found[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map((label) => label.slice(1)),
    );
    if (!samples.has(found[1])) samples.set(found[1], []);
    samples.get(found[1]).push({ labels, value: Number(found[3].replace("Inf", "Infinity")) });
  }
  return { atMs, samples };
}

function matching({ samples }, name, labels) {
  const wanted = Object.entries(labels);
  return (samples.get(name) ?? []).filter((sample) =>
    wanted.every(([label, value]) => sample.labels[label] === value));
}

/** The sum over all workers. */
export function total(at, name, labels = {}) {
  return matching(at, name, labels).reduce((sum, sample) => sum + sample.value, 0);
}

/** How often a second a counter rose; null where it cannot be told: a worker that was replaced
 *  counts from nothing. */
export function perSecond(before, after, name, labels = {}) {
  const rise = total(after, name, labels) - total(before, name, labels);
  return rise < 0 || after.atMs <= before.atMs ? null : (rise * 1000) / (after.atMs - before.atMs);
}

/** The share of `part` in what both counters rose by; null where neither did. */
export function share(before, after, name, part, whole) {
  const risen = (labels) => total(after, name, labels) - total(before, name, labels);
  const all = whole.reduce((sum, labels) => sum + risen(labels), 0);
  return all > 0 && risen(part) >= 0 ? risen(part) / all : null;
}

/** The quantile of a histogram in seconds, by lines between the bounds of its buckets, as
 *  Prometheus' histogram_quantile has it; null where nothing was observed. */
export function quantile(before, after, name, labels, wanted) {
  const counts = new Map();
  for (const [at, sign] of [[after, 1], [before, -1]]) {
    for (const { labels: { le }, value } of matching(at, `${name}_bucket`, labels)) {
      const bound = Number(le.replace("Inf", "Infinity"));
      counts.set(bound, (counts.get(bound) ?? 0) + sign * value);
    }
  }
  const buckets = [...counts].sort(([one], [other]) => one - other);
  const rank = (buckets.at(-1)?.[1] ?? 0) * wanted;
  if (!(rank > 0)) return null;
  let [low, under] = [0, 0];
  for (const [bound, upTo] of buckets) {
    if (upTo >= rank) {
      return bound === Infinity ? low : low + ((bound - low) * (rank - under)) / (upTo - under);
    }
    [low, under] = [bound, upTo];
  }
  return null;
}
