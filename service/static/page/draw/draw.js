// The drawing view: every change of the sheet is asked about, and the answer shown beside it.

import { Answer } from "../answer/answer.js";
import { square } from "../answer/layer.js";
import { Network } from "../answer/network.js";
import { Reasons } from "../answer/reasons.js";
import { startReplay } from "../answer/replay.js";
import { spoken } from "../answer/words.js";
import { Feedback } from "../labels/feedback.js";
import { Latest } from "../latest.js";
import { explain, layers, predict, read, ServiceError } from "../service.js";
import { showStrokes } from "./canvas.js";
import { listenForCommands } from "./commands.js";
import { takeFiles } from "./files.js";
import { photograph } from "./ink.js";
import { drawWithKeys, drawWithPointer } from "./pen.js";
import { Picture } from "./picture.js";
import { Sheet } from "./sheet.js";

/** How long the pen rests before the answer is spoken and explained, in milliseconds. */
const REST = 450;
/** After how long without an answer the page says that it waits, in milliseconds. */
const SLOW = 1000;
/** How long until a service that is away is asked again, in milliseconds. */
const RETRY = 2000;

/**
 * Brings the drawing view in `panel` to life. Gives `lay(file)`, which puts a picture on the pad, and
 * `current()`, the picture of what is on it, null for nothing.
 */
export function startDrawing(panel) {
  const canvas = document.getElementById("canvas");
  const sheet = new Sheet();
  const picture = new Picture({
    image: document.getElementById("picture"),
    unshown: document.getElementById("unshown"),
    frame: document.getElementById("box"),
    layer: document.getElementById("drawn-why"),
  });
  const answer = new Answer((index) => picture.choose(index));
  const reading = new Latest(readSheet);
  const finishing = new Latest(finish);
  const reasons = new Reasons(document.getElementById("reasons"), {
    toggled: () => sheet.isEmpty || follow(),
    chosen: () => last && finishing.want(),
  });
  const network = new Network(document.getElementById("network"), () => sheet.isEmpty || follow());
  const feedback = new Feedback(document.getElementById("feedback"));
  const speech = document.getElementById("speech");
  let changedAt = null; // when the sheet first differed from what was last sent
  let last = null;
  let timer = 0;

  async function readSheet(signal) {
    const since = changedAt ?? performance.now();
    changedAt = null;
    const slow = setTimeout(() => signal.aborted || answer.wait(), SLOW);
    try {
      const isDrawing = sheet.picture === null;
      const sent = sheet.picture ?? (await photograph(sheet.strokes));
      signal.throwIfAborted();
      const { predictions, version } = await predict(sent, signal, { why: reasons.isOpen, isGrowing: isDrawing });
      const isNumber = predictions[0].doubts.includes("several digits");
      const number = isNumber ? await read(sent, signal) : null;
      last = { sent, isDrawing, prediction: predictions[0], number, version };
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      return fail(error);
    } finally {
      clearTimeout(slow);
    }
    last.milliseconds = performance.now() - since;
    await show(signal);
    if (network.isOpen) await showLayers(last.sent, signal);
    afterwards(() => finishing.want(), REST);
  }

  async function show(signal) {
    const { prediction, number } = last;
    const boxes = number?.digits.length ? number.digits.map(({ box }) => box) : [prediction.seen.box];
    picture.mark(boxes);
    answer.show(last);
    feedback.about(number || prediction.doubts.includes("blank") ? null : prediction);
    const where = prediction.why ? await square(prediction.seen) : null;
    signal.throwIfAborted();
    picture.lay(number ? null : prediction.why?.png, where);
  }

  async function showLayers(sent, signal) {
    try {
      await network.show(await layers(sent, signal));
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      network.empty(error.message);
    }
  }

  function fail(error) {
    answer.fail(error.isPassing ? `${error.message} Trying again …` : error.message);
    last = null;
    unmark();
    if (error.isPassing) afterwards(() => reading.want(), RETRY);
  }

  function unmark() {
    picture.mark([]);
    picture.lay(null);
    reasons.empty();
    network.empty();
    feedback.about(null);
  }

  /** Does something later, unless the sheet has changed by then or already has. */
  function afterwards(act, milliseconds) {
    clearTimeout(timer);
    if (changedAt === null) timer = setTimeout(act, milliseconds);
  }

  /** What is worth doing only once the pen rests: words for the ear, and the further reasons. */
  async function finish(signal) {
    const { sent, prediction, number, isDrawing } = last;
    const words = spoken(prediction, number);
    if (speech.textContent !== words) speech.textContent = words;
    if (isDrawing && !last.isFinished) await settle(last, signal);
    if (!reasons.isOpen) return;
    if (number || prediction.doubts.includes("blank")) return reasons.empty();
    try {
      reasons.show(await explain(sent, reasons.against, signal), prediction.seen.png);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      reasons.empty(error.message);
      if (error.isPassing) afterwards(() => finishing.want(), RETRY);
    }
  }

  /** Asks once more about a drawing that is finished, so that it counts as what the service meets. */
  async function settle(finished, signal) {
    finished.isFinished = true;
    try {
      await predict(finished.sent, signal);
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
    }
  }

  function follow() {
    clearTimeout(timer);
    finishing.cancel();
    replay.stop();
    speech.textContent = "";
    answer.forget();
    reasons.fade(true);
    document.getElementById("undo").disabled = !sheet.canUndo;
    document.getElementById("clear").disabled = sheet.isEmpty;
    document.getElementById("invitation").hidden = !sheet.isEmpty;
    picture.show(sheet.picture);
    if (sheet.isEmpty) return rest();
    changedAt ??= performance.now();
    reading.want();
  }

  function rest() {
    reading.cancel();
    changedAt = last = null;
    unmark();
    answer.reset();
    afterwards(() => {
      speech.textContent = "The sheet is empty.";
    }, REST);
  }

  sheet.addEventListener("change", follow);
  document.addEventListener("key", () => sheet.isEmpty || reading.want());
  const showOthers = showStrokes(canvas, sheet);
  const paint = (strokes) => {
    canvas.parentElement.classList.toggle("replaying", strokes !== null);
    showOthers(strokes);
  };
  const restore = () => last && show(new AbortController().signal);
  const replay = startReplay(sheet, answer, paint, restore);
  drawWithPointer(canvas, sheet);
  const keys = drawWithKeys(canvas, sheet, document.getElementById("pen"));
  takeFiles(
    panel,
    (file) => sheet.lay(file),
    (message) => answer.warn(message),
  );
  listenForCommands(panel, sheet, keys, canvas);
  return { lay: (file) => sheet.lay(file), current: () => last?.sent ?? null };
}
