// The change that makes it another digit: a short film from one 28x28 image to another.

const SIDE = 28;
/** How long the film takes, in milliseconds. */
const LENGTH = 1400;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

/** Plays changes on `canvas`: ink that is put in is green, what is taken out is magenta. */
export class Change {
  #context;
  #images = null; // the grey values before and after
  #due = 0;

  constructor(canvas) {
    canvas.width = canvas.height = SIDE;
    this.#context = canvas.getContext("2d");
  }

  /** Shows the change between two PNGs in base64. */
  async show(before, after) {
    this.clear();
    const images = await Promise.all([before, after].map(greys));
    this.#images = images;
    this.play();
  }

  /** From the start; where motion is to be reduced, its end alone. */
  play() {
    if (!this.#images) return;
    cancelAnimationFrame(this.#due);
    if (STILL.matches) return this.#paint(1);
    const start = performance.now();
    const step = () => {
      const share = Math.min(1, (performance.now() - start) / LENGTH);
      this.#paint(share);
      if (share < 1) this.#due = requestAnimationFrame(step);
    };
    step();
  }

  clear() {
    cancelAnimationFrame(this.#due);
    this.#images = null;
    this.#context.clearRect(0, 0, SIDE, SIDE);
  }

  #paint(share) {
    const [before, after] = this.#images;
    const picture = this.#context.createImageData(SIDE, SIDE);
    before.forEach((old, index) => {
      const added = share * Math.max(0, after[index] - old);
      const taken = share * Math.max(0, old - after[index]);
      const kept = old - taken;
      const colours = [kept + 0.2 * added + 0.75 * taken, kept + 0.9 * added, kept + 0.35 * added + 0.6 * taken];
      picture.data.set([...colours, 255], 4 * index);
    });
    this.#context.putImageData(picture, 0, 0);
  }
}

/** The grey values of a 28x28 PNG in base64. */
export async function greys(png) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, SIDE, SIDE);
  return Float32Array.from({ length: SIDE * SIDE }, (_, index) => data[4 * index]);
}
