// Picture files: dropped, pasted, chosen or just photographed.

/** While `panel` is shown: `take(file)` gets a file, `warn(message)` what was not taken. */
export function takeFiles(panel, take, warn) {
  const pad = document.getElementById("pad");

  function takeOne(files, otherwise) {
    if (panel.hidden) return;
    if (!files.length) return otherwise && warn(otherwise);
    const file = [...files].find(({ type }) => type.startsWith("image/")) ?? files[0];
    take(file);
    if (files.length > 1) warn(`Of ${files.length} files only one is read: ${file.name}`);
  }

  // On the whole page: a picture that misses the pad must not replace the page.
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    pad.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) pad.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    pad.classList.remove("dropping");
    takeOne(event.dataTransfer.files, "What was dropped is no file.");
  });
  document.addEventListener("paste", (event) => {
    if (event.target.matches("input")) return;
    takeOne(event.clipboardData.files, "There is no picture in the clipboard.");
  });

  const input = document.getElementById("file");
  input.addEventListener("change", () => {
    takeOne(input.files);
    input.value = ""; // so that the same file can be chosen again
  });

  function offer(button, isPhoto) {
    document.getElementById(button).addEventListener("click", () => {
      if (isPhoto) input.setAttribute("capture", "environment");
      else input.removeAttribute("capture");
      input.click();
    });
  }

  offer("choose", false);
  offer("photo", true);
}
