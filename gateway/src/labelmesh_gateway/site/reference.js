// Narrows the page to the operations that contain every word typed. Without it the page shows everything.
"use strict";

const filter = document.getElementById("filter");
const found = document.getElementById("found");
const operations = [...document.querySelectorAll("article[data-text]")];

filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const operation of operations) {
    const text = operation.dataset.text.toLowerCase();
    const shown = words.every((word) => text.includes(word));
    operation.hidden = !shown;
    document.querySelector(`li[data-for="${CSS.escape(operation.id)}"]`).hidden = !shown;
    count += shown ? 1 : 0;
  }
  for (const section of document.querySelectorAll("main > section")) {
    const inside = [...section.querySelectorAll("article[data-text]")];
    section.hidden = inside.length > 0 && inside.every((operation) => operation.hidden);
  }
  document.getElementById("schemas").hidden = words.length > 0;
  found.textContent = words.length > 0 ? `${count} of ${operations.length} operations` : "";
});
