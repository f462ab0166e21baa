// A line chart on a logarithmic scale, as SVG in the page's colours.

const NAMESPACE = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [380, 230];
const [LEFT, TOP, RIGHT, BOTTOM] = [44, 8, WIDTH - 8, HEIGHT - 44];
const MOST_LEVELS = 7;
const MOST_EPOCHS = 6;
const APART = [1, 2, 5, 10, 20, 50, 100, 200, 500];

/**
 * Draws `series`, each {kind, values} with a number or null for every epoch; `kind` is its class.
 * Dotted lines stand at the epochs `marks`. `words` say to the ear what is to be seen.
 */
export function chart({ words, series, marks }) {
  const values = series.flatMap((each) => each.values).filter((value) => value > 0);
  const [least, most] = [0.9 * Math.min(...values), 1.1 * Math.max(...values)];
  const last = Math.max(...series.map((each) => each.values.length));
  const x = (epoch) => between(LEFT, RIGHT, last > 1 ? (epoch - 1) / (last - 1) : 0.5);
  // A value of 0, which has no place on such a scale, lies at its end.
  const y = (value) =>
    between(BOTTOM, TOP, Math.log(Math.max(value, least) / least) / Math.log(most / least));
  return svg(
    "svg",
    { class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    ...levels(least, most).flatMap((value) => [
      line("level", LEFT, y(value), RIGHT, y(value)),
      label(value, LEFT - 8, y(value) + 4, "end"),
    ]),
    ...shownEpochs(last).map((epoch) => label(epoch, x(epoch), BOTTOM + 20, "middle")),
    label("epoch", between(LEFT, RIGHT, 0.5), HEIGHT - 4, "middle"),
    ...marks.map((epoch) => line("mark", x(epoch), TOP, x(epoch), BOTTOM)),
    ...series.map(({ kind, values }) => curve(kind, values, x, y)),
  );
}

function curve(kind, values, x, y) {
  const points = values.flatMap((value, index) =>
    value === null ? [] : [`${x(index + 1).toFixed(1)},${y(value).toFixed(1)}`],
  );
  return svg("polyline", { class: `curve ${kind}`, points: points.join(" ") });
}

/** The round numbers from the least to the most: 1, 2 and 5 of each power of ten, or 1 alone. */
function levels(least, most) {
  const powers = range(Math.floor(Math.log10(least)), Math.floor(Math.log10(most)));
  const choices = [[1, 2, 5], [1]].map((digits) =>
    powers
      .flatMap((power) => digits.map((digit) => Number(`${digit}e${power}`)))
      .filter((value) => least <= value && value <= most),
  );
  return choices[0].length <= MOST_LEVELS ? choices[0] : choices[1];
}

/** Every epoch of a few; of many, round ones that are evenly apart. */
function shownEpochs(last) {
  const apart = APART.find((step) => last / step <= MOST_EPOCHS) ?? last;
  return range(1, last).filter((epoch) => epoch % apart === 0);
}

function range(first, last) {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

export function between(start, end, share) {
  return start + share * (end - start);
}

export function line(kind, x1, y1, x2, y2) {
  return svg("line", { class: kind, x1, y1, x2, y2 });
}

export function label(text, x, y, anchor) {
  return svg("text", { x, y, "text-anchor": anchor }, String(text));
}

/** An SVG element. */
export function svg(name, attributes, ...children) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
