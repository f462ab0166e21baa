// Picture files: dropped, pasted, chosen or just photographed.

/** While `panel` is shown: `take(file)` gets each file, `refuse(message)` what is none. */
export function takeFiles(panel, take, refuse) {
  const pad = document.getElementById("pad");

  function takeFirst(files, otherwise) {
    if (panel.hidden) return;
    if (files.length) take(files[0]);
    else if (otherwise) refuse(otherwise);
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
    takeFirst(event.dataTransfer.files, "What was dropped is no file.");
  });
  document.addEventListener("paste", (event) => {
    takeFirst(event.clipboardData.files, "There is no picture in the clipboard.");
  });

  for (const name of ["choose", "photo"]) {
    const input = document.getElementById(`${name}-file`);
    document.getElementById(name).addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      takeFirst(input.files);
      input.value = ""; // so that the same file can be chosen again
    });
  }
}
