// Makes elements. Text always goes in as text: nothing here can become markup.

/** An element with attributes (null or false: left out) and children, nodes or text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** A share of 1 as a percentage that never rounds up to certainty. */
export function percent(share, digits = 1) {
  const most = 100 - 10 ** -digits;
  const value = share < 1 ? Math.min(100 * share, most) : 100;
  return `${value.toFixed(digits)} %`;
}

/** A probability as a percentage: the model is never certain, though its float32 may end at 1. */
export function likely(probability) {
  return percent(Math.min(probability, 1 - Number.EPSILON));
}

/** A whole number with its thousands apart. */
export function count(number) {
  return number.toLocaleString("en");
}
