// The verdict, as something to doubt: on a scale, with all that is known about its uncertainty.

import { el, svg } from "./dom.js";
import { T } from "./texts.js";

const WIDTH = 400;
const LEFT = 10;
const LENGTH = WIDTH - 2 * LEFT;
const LINE = 34;

/**
 * @typedef {import("./types.js").Verdict} Verdict
 * @typedef {import("./types.js").ServiceInfo} ServiceInfo
 */

/**
 * @param {import("./types.js").Review} review
 * @param {ServiceInfo} service
 */
export function verdictView(review, service) {
  const verdict = review.verdict;
  if (!verdict) return null;
  const decision = verdict.decision ?? "none";
  return el(
    "section",
    { class: "card verdict", "aria-labelledby": "verdict-title" },
    el("h2", { id: "verdict-title" }, T.verdict.title),
    el(
      "p",
      { class: "decision" },
      el("span", { class: `badge ${decision}` }, T.decisions[decision]),
      " ",
      el("strong", {}, verdict.probability === null ? T.verdict.noProbability : T.verdict.probability(verdict.probability)),
      " ",
      verdict.probability === null ? null : el("span", { class: "hint" }, calibration(verdict)),
    ),
    verdict.probability === null ? null : scale(verdict, verdict.probability, service.abstain),
    el("p", { class: "doubt" }, T.verdict.doubt),
    el("ul", { class: "known" }, ...known(verdict, service).map((text) => el("li", {}, text))),
  );
}

/** @param {Verdict} verdict */
function calibration(verdict) {
  return verdict.calibrated && verdict.calibration ? T.verdict.calibrated(verdict.calibration) : T.verdict.uncalibrated;
}

/**
 * What is known about the verdict, in sentences.
 * @param {Verdict} verdict
 * @param {ServiceInfo} service
 */
function known(verdict, service) {
  const found = [];
  if (verdict.calibrated && verdict.probability !== null && service.calibration?.name === verdict.calibration) {
    found.push(ofBin(verdict.probability, service.calibration.bins));
  }
  if (service.abstain) found.push(T.verdict.band(...service.abstain));
  found.push(
    verdict.samples.length > 1
      ? T.verdict.samples(verdict.samples.length, (verdict.spread ?? 0).toFixed(2))
      : T.verdict.one,
  );
  if (verdict.source === "probe") found.push(T.verdict.probe);
  if (disagrees(verdict)) found.push(T.verdict.disagree);
  return found;
}

/**
 * @param {number} probability
 * @param {NonNullable<ServiceInfo["calibration"]>["bins"]} bins
 */
function ofBin(probability, bins) {
  const own = bins.find((bin) => probability >= bin.low && (probability < bin.high || bin.high === 1));
  return own ? T.verdict.bin(own.papers, own.accepted, own.low, own.high) : T.verdict.noBins;
}

/** @param {Verdict} verdict */
function disagrees({ decision, probability }) {
  if (probability === null) return false;
  return (decision === "accept" && probability < 0.5) || (decision === "reject" && probability > 0.5);
}

/**
 * @param {Verdict} verdict
 * @param {number} probability
 * @param {[number, number] | null} band
 */
function scale(verdict, probability, band) {
  const x = (/** @type {number} */ value) => LEFT + value * LENGTH;
  const label = [
    T.verdict.probability(probability),
    band ? T.verdict.band(...band) : "",
    verdict.samples.length > 1 ? T.verdict.samples(verdict.samples.length, (verdict.spread ?? 0).toFixed(2)) : "",
  ].join(" ");
  const low = Math.max(0, (verdict.mean ?? 0) - (verdict.spread ?? 0));
  const high = Math.min(1, (verdict.mean ?? 0) + (verdict.spread ?? 0));
  const spread = verdict.spread !== null && verdict.mean !== null;
  return svg(
    "svg",
    { class: "scale", viewBox: `0 0 ${WIDTH} 56`, role: "img", "aria-label": T.verdict.scale(label) },
    band ? svg("rect", { class: "band", x: x(band[0]), y: LINE - 12, width: x(band[1]) - x(band[0]), height: 24 }) : null,
    svg("line", { class: "axis", x1: x(0), x2: x(1), y1: LINE, y2: LINE }),
    ...[0, 0.25, 0.5, 0.75, 1].map((at) => svg("line", { class: "axis", x1: x(at), x2: x(at), y1: LINE - 4, y2: LINE + 4 })),
    spread ? svg("line", { class: "spread", x1: x(low), x2: x(high), y1: LINE, y2: LINE }) : null,
    ...verdict.samples.map((sample) => svg("circle", { class: "sample", cx: x(sample), cy: LINE, r: 3 })),
    svg("path", { class: "mark", d: `M${x(probability)} ${LINE - 5}l-6 -11h12z` }),
    svg("text", { x: x(0), y: 54, "text-anchor": "start" }, `0 ${T.verdict.reject}`),
    svg("text", { x: x(0.5), y: 54, "text-anchor": "middle" }, "0.5"),
    svg("text", { x: x(1), y: 54, "text-anchor": "end" }, `${T.verdict.accept} 1`),
    svg("text", { class: "value", x: Math.min(Math.max(x(probability), 20), WIDTH - 20), y: 13, "text-anchor": "middle" }, probability.toFixed(2)),
  );
}
