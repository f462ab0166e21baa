// Undo and clear, by button and by key.

/** Lets `panel` take them; `keys` is the pen that is moved with the keyboard. */
export function listenForCommands(panel, sheet, keys, canvas) {
  function undo() {
    keys.lift();
    sheet.undo();
  }

  function clear() {
    keys.lift();
    sheet.clear();
  }

  for (const [name, command] of Object.entries({ undo, clear })) {
    document.getElementById(name).addEventListener("click", (event) => {
      command();
      // A button that has nothing more to do would take the focus with it.
      if (event.currentTarget.disabled) canvas.focus();
    });
  }
  document.addEventListener("keydown", (event) => {
    if (panel.hidden || event.altKey || event.shiftKey || event.target.matches("input, select")) return;
    const isCommand = event.ctrlKey || event.metaKey;
    if (isCommand && event.key.toLowerCase() === "z") undo();
    else if (!isCommand && ["Escape", "Delete"].includes(event.key)) clear();
    else return;
    event.preventDefault();
  });
}
