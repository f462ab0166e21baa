// What the network sees: the feature maps of each convolution, as tiles, and one of them enlarged.

import { element } from "../element.js";

const COLUMNS = 8;
/** The least side of a tile and the gap between tiles, in pixels of the canvas. */
const [LEAST, GAP] = [12, 2];
const FIRST = "Looks at small patches of the image. A map is bright where its pattern is, such as an edge.";
const LATER = "Looks at patches of the maps before it, so its patterns are larger: bends, ends, crossings.";
const LAST = "Each map is one pixel by now: how much of its pattern there is. The digit follows from these.";

/** The layers in `panel`, shown while its button is pressed; `toggled` when it is. */
export class Network {
  #panel;
  #button = document.getElementById("layers");
  #words = document.getElementById("network-words");
  #list = document.getElementById("network-layers");
  #form = ""; // the sizes of the layers that are shown
  #layers = [];

  constructor(panel, toggled) {
    this.#panel = panel;
    this.#button.addEventListener("click", () => {
      this.#button.setAttribute("aria-pressed", !this.isOpen);
      this.#panel.hidden = !this.isOpen;
      toggled();
    });
    this.empty();
  }

  get isOpen() {
    return this.#button.getAttribute("aria-pressed") === "true";
  }

  /** There is nothing to be shown; `words` say why. */
  empty(words = "Draw something, and see what each layer makes of it.") {
    this.#words.textContent = words;
    this.#list.replaceChildren();
    this.#form = "";
  }

  /** Shows the answer of `/layers`. */
  async show({ version, layers }) {
    if (!layers.length) {
      return this.empty(`Version ${version} has no convolutions, so it has no maps: it looks at all pixels at once.`);
    }
    const isRounded = layers.some(({ rounding }) => rounding);
    this.#words.textContent =
      `Version ${version} has ${layers.length} convolutions. ` +
      (isRounded
        ? "It computes in whole numbers of 8 bits (int8): what you see was rounded, as the next layer gets it."
        : "It computes in floating-point numbers.");
    const form = JSON.stringify(layers.map(({ maps, height, width }) => [maps, height, width]));
    if (form !== this.#form) {
      this.#form = form;
      this.#layers = layers.map((layer, index) => new Layer(layer, index));
      this.#list.replaceChildren(...this.#layers.map(({ item }) => item));
    }
    await Promise.all(layers.map((layer, index) => this.#layers[index].show(layer)));
  }
}

/** One layer: its maps as tiles, of which a slider or the pointer chooses the one that is enlarged. */
class Layer {
  #context;
  #large;
  #slider;
  #name;
  #values;
  #image = new Image();
  #size;
  #side;
  #isNew = true;

  constructor({ maps, shown, height, width }, index) {
    this.#size = [width, height];
    const scale = Math.max(1, Math.ceil(LEAST / Math.max(width, height)));
    this.#side = [width * scale + GAP, height * scale + GAP];
    const columns = Math.min(COLUMNS, shown);
    const title = `Convolution ${index + 1}`;
    const tiles = element("canvas", {
      role: "img",
      "aria-label": `Its maps`,
      width: columns * this.#side[0] - GAP,
      height: Math.ceil(shown / columns) * this.#side[1] - GAP,
    });
    const large = element("canvas", { role: "img", "aria-label": "The chosen map", width, height });
    this.#context = tiles.getContext("2d");
    this.#large = large.getContext("2d");
    this.#slider = element("input", { type: "range", min: 1, max: shown, value: 1, "aria-label": `Map of convolution ${index + 1}` });
    this.#name = element("output", { class: "quiet" });
    this.#values = element("p", { class: "quiet" });
    const count = `${maps} maps of ${width} × ${height}${shown < maps ? `, ${shown} of them shown` : ""}`;
    const kind = height * width === 1 ? LAST : index ? LATER : FIRST;
    this.item = element(
      "li",
      {},
      element("h3", {}, title, element("span", { class: "quiet" }, ` ${count}`)),
      element("p", { class: "quiet" }, kind),
      element("div", { class: "maps" }, tiles, element("div", { class: "map" }, large, this.#slider, this.#name)),
      this.#values,
    );
    this.#slider.addEventListener("input", () => this.#enlarge());
    tiles.addEventListener("click", (event) => {
      const frame = tiles.getBoundingClientRect();
      const across = Math.floor(((event.clientX - frame.left) / frame.width) * columns);
      const down = Math.floor(((event.clientY - frame.top) / frame.height) * Math.ceil(shown / columns));
      this.#slider.value = Math.min(down * columns + across + 1, shown);
      this.#enlarge();
    });
  }

  async show({ png, shown, low, high, levels, rounding }) {
    this.#image.src = `data:image/png;base64,${png}`;
    await this.#image.decode();
    const columns = Math.min(COLUMNS, shown);
    this.#context.imageSmoothingEnabled = false;
    for (let map = 0; map < shown; map += 1) {
      const [x, y] = [map % columns, Math.floor(map / columns)];
      this.#draw(this.#context, map, x * this.#side[0], y * this.#side[1], this.#side[0] - GAP, this.#side[1] - GAP);
    }
    const steps = rounding ? ` in steps of ${rounding.scale.toPrecision(2)}: ${levels} of 256 levels` : "";
    if (this.#isNew) this.#slider.value = this.#brightest(shown) + 1;
    this.#isNew = false;
    this.#values.textContent = `Black is ${low.toFixed(2)}, white ${high.toFixed(2)}${steps}.`;
    this.#enlarge();
  }

  /** The map in which most happens, which is enlarged at first. */
  #brightest(shown) {
    const { naturalWidth: width, naturalHeight: height } = this.#image;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.drawImage(this.#image, 0, 0);
    const { data } = context.getImageData(0, 0, width, height);
    const sums = new Float64Array(shown);
    for (let at = 0; at < width * height; at += 1) sums[Math.floor((at * shown) / (width * height))] += data[4 * at];
    return sums.indexOf(Math.max(...sums));
  }

  #enlarge() {
    const map = Number(this.#slider.value);
    this.#name.textContent = `Map ${map} of ${this.#slider.max}`;
    this.#draw(this.#large, map - 1, 0, 0, ...this.#size);
  }

  #draw(context, map, x, y, width, height) {
    const shownHeight = this.#image.naturalHeight / Number(this.#slider.max);
    context.drawImage(this.#image, 0, map * shownHeight, this.#image.naturalWidth, shownHeight, x, y, width, height);
  }
}
