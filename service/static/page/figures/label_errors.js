// The images of MNIST's test set whose labels are known to be wrong or ambiguous, by index.
// Confident learning flagged them, and fewer than 3 of 5 raters confirmed the label: Northcutt, Athalye and
// Mueller 2021, "Pervasive Label Errors in Test Sets", arXiv 2103.14749, and
// mturk/mnist_mturk.json of cleanlab/label-errors on GitHub.

const LABEL_ERRORS = new Set([
  947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729,
]);

export function isLabelError(index) {
  return LABEL_ERRORS.has(index);
}
