// The visible canvas: as sharp as the screen, in the page's colours.

import { paint } from "./ink.js";

/**
 * Keeps `canvas` showing the strokes of `sheet`; paints at most once a frame. Gives a function that
 * shows other strokes instead, until it gets null.
 */
export function showStrokes(canvas, sheet) {
  const context = canvas.getContext("2d");
  let isDue = false;
  let others = null;

  function repaint() {
    isDue = false;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (canvas.width !== side) canvas.width = canvas.height = side;
    context.clearRect(0, 0, canvas.width, canvas.height);
    paint(context, canvas.width, others ?? sheet.strokes, getComputedStyle(canvas).color);
  }

  function soon() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(repaint);
  }

  new ResizeObserver(repaint).observe(canvas);
  addEventListener("resize", soon); // a zoom that leaves the canvas its size changes its pixels
  sheet.addEventListener("change", soon);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", soon);
  return (strokes) => {
    others = strokes;
    repaint();
  };
}
