// Keeps a view up to date while it is shown: versions are promoted while the page is open.

import { models, ServiceError } from "./service.js";

/** How often the service is asked, in milliseconds; a promotion takes the service 2 seconds more. */
const PACE = 2500;

/**
 * While `panel` is shown: `show(model)` gets the listing of `/models` whenever it has changed, and
 * `fail(message)` what kept it away. Gives what asks at once.
 */
export function follow(panel, show, fail) {
  let known = null;
  let isAsking = false;
  let isRefused = false; // asking again would be refused again

  async function look() {
    if (panel.hidden || document.hidden || isAsking) return;
    isAsking = true;
    try {
      const [model] = (await models()).models;
      // Versions are loaded and dropped as they are asked for, which changes nothing to be seen.
      const listing = JSON.stringify(model).replaceAll('"loaded"', '"available"');
      if (listing !== known) await show(model);
      known = listing;
      isRefused = false;
    } catch (error) {
      if (!(error instanceof ServiceError)) throw error;
      known = null;
      isRefused = !error.isPassing;
      fail(error.message);
    }
    isAsking = false;
  }

  setInterval(() => isRefused || look(), PACE);
  document.addEventListener("key", look);
  return look;
}
