// The review view: one image after the other, labelled by keyboard as fast as one can read.

import { likely } from "../element.js";
import { labelReviewed, review, ServiceError, takeBack } from "../service.js";
import { labelWords, makeLabels } from "./digits.js";

/** How many images are asked for at a time, and when there are so few left, more are. */
const [MANY, FEW] = [20, 8];
/** How often the service is asked whether images wait, where none is left, in milliseconds. */
const PACE = 5000;
/** Steps that can be taken back. */
const MOST_STEPS = 100;
const NONE =
  "No image waits for a label. Answers are kept for review where MNIST_CAPTURE says so, and where " +
  "two versions disagree.";

/** The review view in `panel`; gives what is to be called when it appears. */
export function startReview(panel) {
  const find = (name) => document.getElementById(name);
  const [place, image, answer] = ["reviewed", "review-image", "review-answer"].map(find);
  const [reason, waits, error] = ["review-reason", "review-waiting", "review-error"].map(find);
  const [end, undo] = ["review-end", "review-undo"].map(find);
  const queue = []; // the images that come, the first one is shown
  const steps = []; // the images that are done: {item, label}, a promise of the label's id or null
  const done = new Set(); // their ids: the service may offer them again
  let waiting = 0;
  let unkept = 0; // labels that are on their way
  let isAsking = false;
  let isRefused = false; // asking again would be refused again
  let sending = Promise.resolve(); // labels are sent one after the other

  async function fill() {
    if (panel.hidden || document.hidden || isAsking || queue.length > FEW) return;
    isAsking = true;
    try {
      await sending; // so that what has just been labelled does not count
      const found = await review(MANY);
      waiting = Math.max(0, found.waiting - unkept);
      const known = new Set(queue.map(({ id }) => id));
      queue.push(...found.items.filter(({ id }) => !known.has(id) && !done.has(id)));
      succeed();
      show();
    } catch (fault) {
      fail(fault);
    }
    isAsking = false;
  }

  function succeed() {
    error.textContent = "";
    isRefused = false;
  }

  function fail(fault) {
    if (!(fault instanceof ServiceError)) throw fault;
    isRefused = !fault.isPassing;
    if (error.textContent !== fault.message) error.textContent = fault.message;
    end.hidden = true;
    if (!queue.length) place.hidden = true;
  }

  function show() {
    const [item] = queue;
    place.hidden = !item;
    undo.disabled = !steps.length;
    end.hidden = Boolean(item);
    end.textContent = waiting > 0 ? "You have seen all that wait. Those that you skipped come again later." : NONE;
    waits.textContent = waiting === 1 ? "1 image waits" : `${waiting} images wait`;
    if (!item) return;
    image.src = source(item);
    answer.textContent =
      item.digit === null
        ? "It was not read yet."
        : `Read as ${labelWords(item.digit)}${item.confidence === null ? "" : `, ${likely(item.confidence)} sure`}.`;
    const by = item.version === null ? "" : ` Version ${item.version}${item.when ? `, ${time(item.when)}` : ""}.`;
    reason.textContent = `Why it is asked: ${item.reason}.${by}`;
    if (queue[1]) new Image().src = source(queue[1]); // decoded before it is wanted
  }

  /** Goes on to the next image at once; the label is sent meanwhile. */
  function decide(digit, isSkipped = false) {
    const item = queue.shift();
    if (!item) return;
    done.add(item.id);
    const step = { item, label: null };
    steps.push(step);
    if (steps.length > MOST_STEPS) steps.shift();
    if (!isSkipped) {
      waiting = Math.max(0, waiting - 1);
      unkept += 1;
      step.label = send(() => labelReviewed(item.id, digit)).then((kept) => {
        unkept -= 1;
        return kept ?? forget(step);
      });
    }
    show();
    fill();
  }

  /** A label was not kept: its image is shown again. */
  function forget(step) {
    if (!steps.includes(step)) return null;
    steps.splice(steps.indexOf(step), 1);
    restore(step);
    return null;
  }

  function restore({ item, label }) {
    done.delete(item.id);
    queue.unshift(item);
    if (label) waiting += 1;
    show();
  }

  function back() {
    const step = steps.pop();
    if (!step) return;
    restore(step);
    if (undo.disabled) panel.focus({ preventScroll: true });
    if (!step.label) return;
    send(async () => {
      const kept = await step.label;
      if (kept) await takeBack(kept.id);
    });
  }

  /** Does one thing after the other; gives a promise of what it gave, null where it failed. */
  function send(act) {
    const result = sending.then(act).then(
      (found) => {
        succeed();
        return found;
      },
      (fault) => {
        fail(fault);
        return null;
      },
    );
    sending = result;
    return result;
  }

  /** After a click the keys are for the image again, and not for the button. */
  function leave(event) {
    if (event.detail) panel.focus({ preventScroll: true });
  }

  function press(event) {
    const { target } = event;
    if (panel.hidden || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    // Keys are for this view alone, and not for what else has the focus.
    if (![document.body, document.getElementById("tab-review")].includes(target) && !panel.contains(target)) return;
    const key = event.key.toLowerCase();
    if (/^[0-9]$/.test(key)) decide(Number(key));
    else if (key === "n") decide(null);
    else if (key === "z") back();
    else if (key === " " && !(panel.contains(target) && target.matches("button"))) decide(null, true);
    else return;
    event.preventDefault();
  }

  makeLabels(find("review-digits"), (digit) => decide(digit));
  find("review-skip").addEventListener("click", () => decide(null, true));
  undo.addEventListener("click", back);
  panel.addEventListener("click", leave);
  document.addEventListener("keydown", press);
  setInterval(() => queue.length || isRefused || fill(), PACE);
  document.addEventListener("key", fill);
  return () => {
    // Skipped images come again where the view is opened again.
    for (const { item, label } of steps) if (!label) done.delete(item.id);
    fill();
  };
}

function source({ png }) {
  return `data:image/png;base64,${png}`;
}

function time(when) {
  return new Date(when).toLocaleString("en", { dateStyle: "medium", timeStyle: "short" });
}
