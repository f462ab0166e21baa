// Strokes as pixels: on the canvas that is looked at, and as the picture that is sent.

/** The side of the picture that is sent, in pixels: enough for 28, and quick to pack. */
export const SENT_SIDE = 280;
/** How far before and after a point its corner is rounded at most, as a share of the side. */
const ROUNDING = 0.04;
/** Strokes smaller than this share of the side would be blots: their loops fill with ink. */
const SMALL = 0.34;
/** What is smaller still is drawn no finer, so that a dot stays a dot. */
const LEAST = 0.08;

/** Paints strokes on a square of `side` pixels, round at their ends and smooth in between. */
export function paint(context, side, strokes, colour) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineCap = context.lineJoin = "round";
  for (const points of strokes) {
    dot(context, side, points[0]);
    let from = points[0];
    points.slice(1).forEach((point, index) => {
      // Curves past the points, which are their handles: none shows where they are close, and
      // a fast hand's corners stay.
      const isLast = index === points.length - 2;
      const enter = beside(point, points[index]);
      const to = isLast ? point : beside(point, points[index + 2]);
      context.lineWidth = ((points[index].width + point.width) / 2) * side;
      context.beginPath();
      context.moveTo(from.x * side, from.y * side);
      context.lineTo(enter.x * side, enter.y * side);
      context.quadraticCurveTo(point.x * side, point.y * side, to.x * side, to.y * side);
      context.stroke();
      from = to;
    });
  }
}

/** The strokes as a PNG, dark ink on white paper whatever the page's colours are. */
export function photograph(strokes) {
  const canvas = new OffscreenCanvas(SENT_SIDE, SENT_SIDE);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, SENT_SIDE, SENT_SIDE);
  paint(context, SENT_SIDE, finer(strokes), "#000");
  return canvas.convertToBlob({ type: "image/png" });
}

/** The strokes as a finer pen would have drawn them, where the pen is too thick for their size. */
function finer(strokes) {
  const points = strokes.flat();
  const share = Math.max(LEAST, extent(points, "x"), extent(points, "y")) / SMALL;
  if (share >= 1) return strokes;
  return strokes.map((stroke) => stroke.map((at) => ({ ...at, width: share * at.width })));
}

function extent(points, axis) {
  let [least, most] = [Infinity, -Infinity];
  for (const point of points) {
    least = Math.min(least, point[axis]);
    most = Math.max(most, point[axis]);
  }
  return most - least;
}

function dot(context, side, point) {
  context.beginPath();
  context.arc(point.x * side, point.y * side, (point.width / 2) * side, 0, 2 * Math.PI);
  context.fill();
}

/** The place on the way from a point to another where its rounding ends: the middle, or before. */
function beside(point, other) {
  const share = Math.min(0.5, ROUNDING / Math.hypot(other.x - point.x, other.y - point.y));
  return {
    x: point.x + share * (other.x - point.x),
    y: point.y + share * (other.y - point.y),
  };
}
