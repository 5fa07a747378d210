// What CSS cannot do: lay out what is folded for the printer, let the keyboard reach what scrolls sideways, and download
// from a page that was opened as a file.
(() => {
  const page = document.documentElement;
  let printing = null; // what has to be put back afterwards

  // On paper the solutions of the exercises stand in an appendix, each under the title of its exercise.
  const appendixOf = (solutions) => {
    const appendix = document.createElement("section");
    const heading = (level, text) => {
      const line = document.createElement(level);
      line.textContent = text;
      appendix.append(line);
    };
    appendix.className = "appendix";
    heading("h2", "Appendix: solutions");
    let last = null;
    solutions.forEach((solution) => {
      const title = solution.closest("section")?.querySelector("h3");
      if (title && title !== last) heading("h3", title.firstChild.textContent);
      last = title;
      appendix.append(solution);
    });
    return appendix;
  };

  window.addEventListener("beforeprint", () => {
    if (printing) return;
    const closed = [...document.querySelectorAll("article details:not([open])")];
    const solutions = [...document.querySelectorAll("article details.solution")];
    const places = solutions.map((solution) => {
      const place = document.createComment("a solution");
      solution.before(place);
      return place;
    });
    printing = { theme: page.dataset.theme, closed, solutions, places, appendix: null };
    if (solutions.length) {
      printing.appendix = appendixOf(solutions);
      document.querySelector("article").append(printing.appendix);
    }
    closed.forEach((details) => { details.open = true; });
    page.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    if (!printing) return;
    page.dataset.theme = printing.theme;
    printing.closed.forEach((details) => { details.open = false; });
    printing.places.forEach((place, i) => place.replaceWith(printing.solutions[i]));
    printing.appendix?.remove();
    printing = null;
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
    const link = event.target.closest("article a.download");
    if (!link || location.protocol !== "file:") return;
    event.preventDefault();
    const [chapter] = location.pathname.split("/").slice(-2);
    const script = document.createElement("script");
    script.src = `${page.dataset.content_root}downloads/${chapter}/${link.pathname.split("/").at(-1)}.js`;
    document.head.append(script);
    script.addEventListener("load", () => script.remove());
  });

  // An animation stands still until it is asked for, and can be stopped: motion beside a text keeps many from reading.
  const timers = new WeakMap();
  const stop = (button) => {
    clearTimeout(timers.get(button));
    timers.delete(button);
    button.textContent = "Play the animation";
    button.previousElementSibling.src = button.dataset.still;
  };
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.play");
    if (!button) return;
    if (timers.has(button)) return stop(button);
    const picture = button.previousElementSibling;
    button.dataset.still ??= picture.getAttribute("src");
    picture.src = `${button.dataset.moving}?${Date.now()}`; // another address, or it goes on where it had stopped
    button.textContent = "Stop";
    timers.set(button, setTimeout(() => stop(button), 1000 * Number(button.dataset.seconds)));
  });
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("button.play").forEach((button) => timers.has(button) && stop(button));
  });

  const scrolling = "article :is(pre, mjx-container[display='true'], .pst-scrollable-table-container, .cell_output .output, div.math)";
  const reach = () => document.querySelectorAll(scrolling).forEach((box) => {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else if (box.tagName !== "PRE") box.removeAttribute("tabindex");
  });
  window.addEventListener("load", () => {
    reach();
    window.MathJax?.startup?.promise?.then(reach);
    new ResizeObserver(() => requestAnimationFrame(reach)).observe(document.body);  // at once, it could report a loop
    document.addEventListener("toggle", reach, true);
  });
})();
