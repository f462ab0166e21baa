// The pen: mouse, finger and stylus by pointer events, and the arrow keys.

/** A stroke's width as a share of the sheet's side: about that of MNIST's pens. */
const WIDTH = 0.065;
const STEP = 0.02;
const LARGE_STEP = 0.08;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Draws on `sheet` with whatever points at `canvas`: one pointer at a time, a pen before a hand. */
export function drawWithPointer(canvas, sheet) {
  let drawing = null; // {id, type, stroke} while a pointer is down
  let beside = null; // where a pressed pointer is on the ground around the canvas

  function press(event) {
    if (event.button !== 0) return;
    if (drawing && drawing.id !== event.pointerId) {
      if (event.pointerType !== "pen" || drawing.type !== "touch") return;
      takeBack(drawing.stroke); // the hand that holds the pen came down first
    }
    begin(event, pointOf(event));
  }

  function begin(event, point) {
    drawing = { id: event.pointerId, type: event.pointerType, stroke: sheet.begin(point) };
    canvas.setPointerCapture(event.pointerId);
  }

  function takeBack(stroke) {
    if (sheet.strokes.at(-1) === stroke) sheet.undo();
  }

  function move(event) {
    if (beside && event.buttons & 1) comeIn(event);
    if (event.pointerId !== drawing?.id) return;
    const events = event.getCoalescedEvents?.() ?? [];
    sheet.extend(drawing.stroke, (events.length ? events : [event]).map(pointOf));
  }

  /** A stroke that began beside the canvas is drawn from where it crosses the edge. */
  function comeIn(event) {
    getSelection().removeAllRanges(); // what the pressed pointer has selected on its way
    if (!drawing) begin(event, beside);
    beside = null;
  }

  /** What begins on a button or a text is no stroke; and where a finger goes, the page scrolls. */
  function approach(event) {
    if (event.target === canvas || event.pointerType === "touch") return;
    const isFirst = event.type === "pointerdown";
    if (isFirst ? event.button === 0 && event.target.contains(canvas) : beside) {
      beside = event.buttons & 1 ? pointOf(event) : null;
    }
  }

  function end(event) {
    if (event.pointerId === drawing?.id) drawing = null;
  }

  function pointOf(event) {
    const frame = canvas.getBoundingClientRect();
    return {
      x: (event.clientX - frame.left) / frame.width,
      y: (event.clientY - frame.top) / frame.height,
      width: WIDTH * pressed(event),
    };
  }

  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  document.addEventListener("pointerdown", approach);
  document.addEventListener("pointermove", approach);
  // Where text is selected, the browser would drag it along and take the pointer away.
  canvas.addEventListener("dragstart", (event) => event.preventDefault());
}

/** How much wider or thinner a stylus draws; mice and fingers tell no pressure. */
function pressed(event) {
  return event.pointerType === "pen" && event.pressure > 0 ? 0.6 + 0.8 * event.pressure : 1;
}

/** Draws on `sheet` with the arrow keys while `canvas` has the focus; `mark` shows the pen. */
export function drawWithKeys(canvas, sheet, mark) {
  const held = new Set();
  const at = { x: 0.5, y: 0.5 };
  let stroke = null; // the one being drawn, while the pen is down

  function press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === " ") toggle();
    else if (event.key in ARROWS) go(event);
    else return;
    event.preventDefault();
    show();
  }

  function toggle() {
    stroke = stroke ? null : sheet.begin(point());
  }

  function go(event) {
    held.add(event.key);
    const step = event.shiftKey ? LARGE_STEP : STEP;
    for (const key of held) {
      at.x = inside(at.x + step * ARROWS[key][0]);
      at.y = inside(at.y + step * ARROWS[key][1]);
    }
    if (stroke) sheet.extend(stroke, [point()]);
  }

  function point() {
    return { ...at, width: WIDTH };
  }

  function show() {
    mark.hidden = false;
    mark.classList.toggle("down", stroke !== null);
    mark.style.left = `${100 * at.x}%`;
    mark.style.top = `${100 * at.y}%`;
  }

  function lift() {
    stroke = null;
    held.clear();
    mark.hidden = true;
  }

  canvas.addEventListener("keydown", press);
  canvas.addEventListener("keyup", (event) => held.delete(event.key));
  canvas.addEventListener("blur", lift);
  canvas.addEventListener("pointerdown", lift);
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && show());
  return { lift };
}

function inside(value) {
  return Math.min(0.96, Math.max(0.04, value));
}
