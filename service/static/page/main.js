// Puts the page together: each part is a module of its own and knows nothing of the others.

import { showTabs } from "./tabs.js";
import { startDrawing } from "./draw/draw.js";
import { startEvaluation } from "./figures/evaluation.js";
import { startKey } from "./key.js";
import { startModel } from "./figures/model.js";
import { startReview } from "./labels/review.js";

startKey(document.getElementById("key"));
const drawing = startDrawing(document.getElementById("draw"));

/** Shows a picture on the pad. */
function open(file) {
  document.getElementById("tab-draw").click();
  drawing.lay(file);
  document.getElementById("canvas").focus({ preventScroll: true });
  scrollTo(0, 0);
}

showTabs(document.querySelector("[role=tablist]"), {
  test: startEvaluation(document.getElementById("test"), open),
  review: startReview(document.getElementById("review")),
  model: startModel(document.getElementById("model"), { current: drawing.current, open }),
});
