// What CSS cannot do: open what is folded for the printer, let the keyboard reach what scrolls sideways, and download
// from a page that was opened as a file.
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

  // Browsers show a linked file instead of saving it when the page is a file itself. A script they do load, so the text
  // of each download lies beside the pages as one, which calls this function.
  window.bookDownload = (name, text) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest(".lesson-facts a.download");
    if (!link || location.protocol !== "file:") return;
    event.preventDefault();
    const [chapter] = location.pathname.split("/").slice(-2);
    const script = document.createElement("script");
    script.src = `${page.dataset.content_root}downloads/${chapter}/${link.pathname.split("/").at(-1)}.js`;
    document.head.append(script);
    script.addEventListener("load", () => script.remove());
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
