// The images of MNIST's test set whose labels are known to be wrong or ambiguous, by index.
// The source is named in training/measure/measure.py.

const LABEL_ERRORS = new Set([
  947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729,
]);

export function isLabelError(index) {
  return LABEL_ERRORS.has(index);
}
