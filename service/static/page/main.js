// Puts the page together: each part is a module of its own and knows nothing of the others.

import { showTabs } from "./tabs.js";
import { startDrawing } from "./draw/draw.js";
import { startEvaluation } from "./figures/evaluation.js";
import { startKey } from "./key.js";
import { startModel } from "./figures/model.js";

const model = startModel(document.getElementById("model"));

startKey(document.getElementById("key"));
startDrawing(document.getElementById("draw"));
startEvaluation(document.getElementById("test"));
showTabs(document.querySelector("[role=tablist]"), { model: model.show });
