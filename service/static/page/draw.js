// The drawing view: every change of the sheet is asked about, and the answer shown beside it.

import { Answer, spoken } from "./answer.js";
import { showStrokes } from "./canvas.js";
import { takeFiles } from "./files.js";
import { photograph } from "./ink.js";
import { Latest } from "./latest.js";
import { drawWithKeys, drawWithPointer } from "./pen.js";
import { Picture } from "./picture.js";
import { predict, read, ServiceError } from "./service.js";
import { Sheet } from "./sheet.js";

/** How long the pen rests before the number is read and the answer spoken, in milliseconds. */
const REST = 450;
/** After how long without an answer the page says that it waits, in milliseconds. */
const SLOW = 1000;
/** How long until a service that is away is asked again, in milliseconds. */
const RETRY = 2000;

/** Brings the drawing view in `panel` to life. */
export function startDrawing(panel) {
  const canvas = document.getElementById("canvas");
  const sheet = new Sheet();
  const answer = new Answer();
  const picture = new Picture({
    image: document.getElementById("picture"),
    unshown: document.getElementById("unshown"),
    frame: document.getElementById("box"),
  });
  const reading = new Latest(readSheet);
  const finishing = new Latest(finish);
  const speech = document.getElementById("speech");
  let changedAt = null; // when the sheet first differed from what was last sent
  let last = null;
  let timer = 0;

  async function readSheet(signal) {
    const since = changedAt ?? performance.now();
    changedAt = null;
    const slow = setTimeout(() => signal.aborted || answer.wait(), SLOW);
    try {
      const sent = sheet.picture ?? (await photograph(sheet.strokes));
      signal.throwIfAborted();
      const [prediction] = (await predict(sent, signal)).predictions;
      last = { sent, prediction };
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      return fail(error);
    } finally {
      clearTimeout(slow);
    }
    answer.show(last.prediction, performance.now() - since);
    picture.mark(last.prediction.seen.box);
    afterwards(() => finishing.want(), REST);
  }

  function fail(error) {
    answer.fail(error.isPassing ? `${error.message} Trying again …` : error.message);
    picture.mark(null);
    if (error.isPassing) afterwards(() => reading.want(), RETRY);
  }

  /** Does something later, unless the sheet has changed by then or already has. */
  function afterwards(act, milliseconds) {
    clearTimeout(timer);
    if (changedAt === null) timer = setTimeout(act, milliseconds);
  }

  /** What is worth doing only once the pen rests: the whole number, and words for the ear. */
  async function finish(signal) {
    const { sent, prediction } = last;
    let number = "";
    if (prediction.doubts.includes("several digits")) {
      try {
        number = (await read(sent, signal)).text;
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
      }
      answer.showNumber(number);
    }
    speech.textContent = spoken(prediction, number);
  }

  function follow() {
    clearTimeout(timer);
    finishing.cancel();
    speech.textContent = "";
    answer.forget();
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
    changedAt = null;
    picture.mark(null);
    answer.reset();
    afterwards(() => {
      speech.textContent = "The sheet is empty.";
    }, REST);
  }

  sheet.addEventListener("change", follow);
  document.addEventListener("key", () => sheet.isEmpty || reading.want());
  showStrokes(canvas, sheet);
  drawWithPointer(canvas, sheet);
  const keys = drawWithKeys(canvas, sheet, document.getElementById("pen"));
  takeFiles(
    panel,
    (file) => sheet.lay(file),
    (message) => answer.warn(message),
  );
  listenForCommands(panel, sheet, keys, canvas);
}

/** Undo and clear, by button and by key. */
function listenForCommands(panel, sheet, keys, canvas) {
  function undo() {
    keys.lift();
    sheet.undo();
  }

  function clear() {
    keys.lift();
    sheet.clear();
  }

  for (const [name, command] of Object.entries({ undo, clear })) {
    document.getElementById(name).addEventListener("click", (event) => {
      command();
      // A button that has nothing more to do would take the focus with it.
      if (event.currentTarget.disabled) canvas.focus();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (panel.hidden || event.altKey || event.shiftKey || event.target.matches("input")) return;
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key.toLowerCase() === "z") undo();
    else if (!isCommand && ["Escape", "Delete"].includes(event.key)) clear();
    else return;
    event.preventDefault();
  });
}
