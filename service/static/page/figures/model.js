// The model view: which version serves, what its card says, all versions, and two compared.

import { count, element, percent } from "../element.js";
import { follow } from "../follow.js";
import { card, ServiceError } from "../service.js";
import { openCard } from "./card.js";
import { comparison } from "./compare.js";
import { learning } from "./learning.js";
import { startUse } from "./use.js";
import { versionsSection } from "./versions.js";

/** Of more versions only the latest have their figures in the table. */
const MOST_CARDS = 30;

/** The model view in `panel`, kept up to date; gives what is to be called when it appears. */
export function startModel(panel, pad) {
  const error = panel.querySelector("#model-error");
  const place = panel.querySelector("#card");
  document.getElementById("reading-back").addEventListener("click", (event) => {
    event.target.closest("dialog").close();
  });

  const use = startUse(panel);

  async function show(model) {
    const cards = await cardsOf(model);
    use.about(model, cards.get(model.champion));
    place.replaceChildren(...shown(model, cards, pad, use.place));
    error.textContent = "";
  }

  function fail(message) {
    place.replaceChildren();
    if (error.textContent !== message) error.textContent = message;
  }

  return follow(panel, show, fail);
}

/** The cards by version: the champion's, and those of others that can be read. */
async function cardsOf({ champion, versions }) {
  const cards = new Map([[champion, await card(champion)]]);
  for (const { version } of versions.slice(-MOST_CARDS)) {
    if (cards.has(version)) continue;
    try {
      cards.set(version, await card(version));
    } catch (error) {
      if (!(error instanceof ServiceError) || error.isPassing) throw error;
    }
  }
  return cards;
}

function shown(model, cards, pad, use) {
  const story = cards.get(model.champion);
  const title = element(
    "div",
    { class: "lead" },
    element("h2", {}, `Version ${model.champion} serves`),
    element("p", {}, onWhat(model.provider)),
  );
  if (model.champion_fault) title.append(element("p", { class: "note" }, model.champion_fault));
  const others = model.versions.filter(({ state }) => state !== "failed").map(({ version }) => version);
  const order = [model.champion, ...others.toReversed().filter((one) => one !== model.champion)];
  const parts = [title, use, keyFigures(story), versionsSection(model, cards, openCard)];
  if (order.length > 1) parts.push(comparison(order, pad));
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
  const whole = element("button", {}, "Read the whole card");
  whole.addEventListener("click", () => openCard(story));
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
    element("p", {}, whole),
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
