// Tabs as the ARIA Authoring Practices describe them: one tab stop, arrow keys move between them.

const KEYS = { ArrowRight: 1, ArrowLeft: -1 };

/** Lets the tabs of `list` show their panels; `shown` has what to call when a panel appears. */
export function showTabs(list, shown) {
  const tabs = [...list.querySelectorAll("[role=tab]")];

  function select(chosen) {
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.setAttribute("aria-selected", isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !isChosen;
    }
    const name = chosen.getAttribute("aria-controls");
    history.replaceState(null, "", name === "draw" ? location.pathname : `#${name}`);
    shown[name]?.();
  }

  function move(event) {
    const last = tabs.length - 1;
    const here = tabs.indexOf(document.activeElement);
    const ends = { Home: 0, End: last };
    const next = ends[event.key] ?? (here + KEYS[event.key] + tabs.length) % tabs.length;
    if (Number.isNaN(next)) return;
    event.preventDefault();
    tabs[next].focus();
    select(tabs[next]);
  }

  list.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab]");
    if (tab) select(tab);
  });
  list.addEventListener("keydown", move);

  function selectAsked() {
    const asked = tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
    if (asked) select(asked);
  }

  addEventListener("hashchange", selectAsked);
  selectAsked();
}
