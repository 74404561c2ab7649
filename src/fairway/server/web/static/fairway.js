// Comfort on top of pages that work without it: copy buttons, and a filter for long lists of choices.
"use strict";

for (const block of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  const status = document.createElement("span");
  status.className = "hidden";
  status.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    const text = block.querySelector("code").textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
      status.textContent = "Copied to the clipboard";
    } catch {
      // Without a secure context there is no clipboard: select the text, so that one key copies it.
      getSelection().selectAllChildren(block.querySelector("code"));
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => {
      button.textContent = "Copy";
      status.textContent = "";
    }, 2500);
  });
  block.append(button, status);
}

for (const choices of document.querySelectorAll("[data-filter]")) {
  const box = document.createElement("input");
  box.type = "search";
  box.className = "filter";
  box.placeholder = "Filter";
  box.setAttribute("aria-label", `Filter ${choices.dataset.filter}`);
  box.addEventListener("input", () => {
    const wanted = box.value.trim().toLocaleLowerCase();
    for (const choice of choices.querySelectorAll(".choice")) {
      const isChosen = choice.querySelector("input").checked;
      choice.hidden = !isChosen && !choice.textContent.toLocaleLowerCase().includes(wanted);
    }
  });
  // Return would submit the whole form from here.
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  choices.before(box);
}
