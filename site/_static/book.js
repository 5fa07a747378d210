// What CSS cannot do: open what is folded for the printer, and let the keyboard reach what scrolls sideways.
(() => {
  const page = document.documentElement;
  let closed = [];
  let theme = "light";

  window.addEventListener("beforeprint", () => {
    theme = page.dataset.theme;
    page.dataset.theme = "light";
    closed = [...document.querySelectorAll("article details:not([open])")];
    closed.forEach((details) => { details.open = true; });
  });
  window.addEventListener("afterprint", () => {
    page.dataset.theme = theme;
    closed.forEach((details) => { details.open = false; });
  });

  const scrolling = "article :is(pre, mjx-container[display='true'], .pst-scrollable-table-container, .cell_output .output, div.math)";
  const reach = () => document.querySelectorAll(scrolling).forEach((box) => {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else if (box.tagName !== "PRE") box.removeAttribute("tabindex");
  });
  window.addEventListener("load", () => {
    reach();
    window.MathJax?.startup?.promise?.then(reach);
    new ResizeObserver(reach).observe(document.body);
    document.addEventListener("toggle", reach, true);
  });
})();
