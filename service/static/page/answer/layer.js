// Where the 28x28 image that the model read lies on the picture that it was read in.

import { greys } from "./change.js";

const SIDE = 28;
/** The ink that counts for the extent of a digit, of 255. */
const INK = 64;

/**
 * The square [left, top, width, height] that the 28x28 pixels of `seen` cover, in pixels of the
 * picture; null for a picture that is taken as it is, pixel by pixel.
 */
export async function square({ png, box }) {
  if (!box) return null;
  const ink = extent(await greys(png));
  const scale = Math.max(box[2], box[3]) / Math.max(ink.right - ink.left, ink.bottom - ink.top, 1);
  const left = box[0] + box[2] / 2 - (scale * (ink.left + ink.right)) / 2;
  const top = box[1] + box[3] / 2 - (scale * (ink.top + ink.bottom)) / 2;
  return [left, top, scale * SIDE, scale * SIDE];
}

function extent(pixels) {
  const ink = { left: SIDE, top: SIDE, right: 0, bottom: 0 };
  pixels.forEach((value, index) => {
    if (value < INK) return;
    const [x, y] = [index % SIDE, Math.floor(index / SIDE)];
    ink.left = Math.min(ink.left, x);
    ink.right = Math.max(ink.right, x + 1);
    ink.top = Math.min(ink.top, y);
    ink.bottom = Math.max(ink.bottom, y + 1);
  });
  return ink;
}
