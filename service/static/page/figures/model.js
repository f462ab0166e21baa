// The model view: which version serves, what its card says, and how it was trained.

import { count, element, percent } from "../element.js";
import { hasKey } from "../key.js";
import { learning } from "./learning.js";
import { card, cardAddress, models, ServiceError } from "../service.js";

/** The model view in `panel`; `show` asks anew, since versions change while the page is open. */
export function startModel(panel) {
  const error = panel.querySelector("#model-error");
  const place = panel.querySelector("#card");

  async function show() {
    try {
      const [model] = (await models()).models;
      place.replaceChildren(...shown(model, await card(model.champion)));
      error.textContent = "";
    } catch (fault) {
      if (!(fault instanceof ServiceError)) throw fault;
      place.replaceChildren();
      error.textContent = fault.message;
    }
  }

  /** A link cannot send the key: what it leads to is asked for, and then opened. */
  async function open(event) {
    const link = event.target.closest("a");
    if (!link || !hasKey()) return;
    event.preventDefault();
    const story = await card(link.getAttribute("href").split("/").at(-1));
    const file = new Blob([JSON.stringify(story, null, 1)], { type: "application/json" });
    location.assign(URL.createObjectURL(file));
  }

  place.addEventListener("click", open);
  document.addEventListener("key", () => panel.hidden || show());
  return { show };
}

function shown(model, story) {
  const title = element(
    "div",
    { class: "lead" },
    element("h2", {}, `Version ${model.champion} serves`),
    element("p", {}, onWhat(model.provider)),
  );
  const parts = [
    title,
    element("div", { class: "side-by-side" }, keyFigures(story), versions(model)),
  ];
  if (model.champion_fault) title.append(element("p", { class: "note" }, model.champion_fault));
  if (story.training?.epochs?.length) parts.push(learning(story.training));
  return parts;
}

function onWhat(provider) {
  const where = provider.active === "cuda" ? "an NVIDIA GPU" : "the processor";
  const threads = provider.threads === 1 ? "1 thread" : `${provider.threads} threads`;
  return `It runs on ${where} with ${threads}, by ONNX Runtime ${provider.onnxruntime}.`;
}

function keyFigures(story) {
  const { test, training, validation, verification } = story;
  const rows = [
    ["Made", story.created && moment(story.created)],
    ["Network", story.architecture],
    ["Parameters", story.parameters && count(story.parameters)],
    ["File", story.size_bytes && `${kibibytes(story.size_bytes)}, ONNX opset ${story.opset}`],
    ["Test accuracy", test && percent(test.accuracy, 2)],
    ["Test loss", test && test.loss.toFixed(4)],
    ["Calibration error", test && percent(test.calibration_error, 2)],
    ["Validation accuracy", validation && percent(validation.accuracy, 2)],
    ["Training", training?.epochs && effort(training)],
    ["Imported from", story.imported?.file],
    ["Proof", verification?.passed && `same digit on all ${count(verification.images)} images`],
    ["SHA-256", story.sha256 && element("code", {}, `${story.sha256.slice(0, 16)}…`)],
  ];
  return element(
    "section",
    {},
    element("h2", {}, "Its card"),
    element(
      "table",
      { class: "rows" },
      element("caption", { class: "unseen" }, "Key figures of the serving version"),
      element("tbody", {}, ...rows.filter(([, value]) => value).map(row)),
    ),
    element("p", {}, element("a", { href: cardAddress(story.version) }, "The whole card, as JSON")),
  );
}

function moment(text) {
  return new Date(text).toLocaleString("en", { dateStyle: "long", timeStyle: "short" });
}

function kibibytes(bytes) {
  return `${count(Math.round(bytes / 1024))} KiB`;
}

function effort({ epochs, cpu_seconds: seconds }) {
  return `${epochs.length} epochs, ${count(Math.round(seconds))} CPU seconds`;
}

function row([name, value]) {
  return element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, value));
}

function versions(model) {
  const rows = model.versions
    .toReversed()
    .map(({ version, state, reason }) =>
      row([element("a", { href: cardAddress(version) }, `Version ${version}`), reason ?? state]),
    );
  return element(
    "section",
    {},
    element("h2", {}, "All versions"),
    element(
      "table",
      { class: "rows" },
      element("caption", { class: "unseen" }, "Published versions and their state"),
      element("tbody", {}, ...rows),
    ),
  );
}
