// The picture file on the pad, and the box around what was read in it.

import { SENT_SIDE } from "./ink.js";

/** Shows picture files in `image` or else `unshown`, boxes in `frame`, all lying on the pad. */
export class Picture {
  #image;
  #frame;
  #unshown;
  #file = null;
  #box = null;

  constructor({ image, unshown, frame }) {
    this.#image = image;
    this.#frame = frame;
    this.#unshown = unshown;
    image.addEventListener("error", () => {
      image.hidden = true;
      unshown.hidden = false;
    });
  }

  /** Shows a file, or none where it is null. */
  show(file) {
    if (file === this.#file) return;
    if (this.#file) URL.revokeObjectURL(this.#image.src);
    this.#file = file;
    this.#image.hidden = file === null;
    this.#unshown.hidden = true;
    if (file) this.#image.src = URL.createObjectURL(file);
    else this.#image.removeAttribute("src");
  }

  /** Draws the box [left, top, width, height], in pixels of the picture or of a drawing. */
  async mark(box) {
    this.#box = box;
    this.#frame.hidden = true;
    if (!box) return;
    const size = this.#file ? await this.#size() : [SENT_SIDE, SENT_SIDE];
    if (!size) return; // a format that this browser cannot show, though the service reads it
    if (this.#box !== box) return; // another came while the picture was decoded
    const [width, height] = size;
    const longest = Math.max(width, height);
    const place = {
      left: box[0] + (longest - width) / 2,
      top: box[1] + (longest - height) / 2,
      width: box[2],
      height: box[3],
    };
    for (const [side, pixels] of Object.entries(place)) {
      this.#frame.style[side] = `${(100 * pixels) / longest}%`;
    }
    this.#frame.hidden = false;
  }

  async #size() {
    try {
      await this.#image.decode();
    } catch {
      return null;
    }
    return [this.#image.naturalWidth, this.#image.naturalHeight];
  }
}
