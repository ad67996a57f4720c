// Replaces the pictures of the overview by ones that can be read point by point, and keeps them up to date.
"use strict";
(() => {
  const HOUR_S = 3600;
  const HEIGHT = 170;
  const PADDING = 28;
  const drawn = new Map();

  function colours() {
    const style = getComputedStyle(document.documentElement);
    return { lines: [style.getPropertyValue("--link").trim(), style.getPropertyValue("--warn").trim()],
             text: style.getPropertyValue("--text").trim(), grid: style.getPropertyValue("--line").trim() };
  }

  function clock(at_s) {
    return new Date(at_s * 1000).toISOString().slice(11, 16);
  }

  function options(place, names) {
    const { lines, text, grid } = colours();
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
    const series = names.map((name, place) => ({
      label: name, stroke: lines[place % lines.length], width: 2, dash: place ? [6, 4] : undefined,
      value: (_, value) => (value === null || value === undefined ? "\u2013" : String(Math.round(value * 100) / 100)),
    }));
    return {
      width: place.clientWidth, height: HEIGHT, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      scales: { x: { time: true, range: () => [Date.now() / 1000 - HOUR_S, Date.now() / 1000] },
                y: { range: (_, least, most) => [0, Math.max(1, most || 0) * 1.05] } },
      axes: [{ ...axis, values: (_, times) => times.map(clock) }, { ...axis, size: 56 }],
      series: [{ label: "UTC", value: (_, at_s) => (at_s ? clock(at_s) : "\u2013") }, ...series],
    };
  }

  function draw(figure, at, chart) {
    const names = Object.keys(chart.lines);
    const data = [at, ...names.map((name) => chart.lines[name])];
    const text = figure.querySelector(".chart-text");
    text.textContent = chart.text.charAt(0).toUpperCase() + chart.text.slice(1);
    if (drawn.has(figure)) {
      drawn.get(figure).setData(data);
      return;
    }
    const place = document.createElement("div");
    place.setAttribute("aria-hidden", "true"); // the text says the same
    figure.insertBefore(place, text);
    drawn.set(figure, new uPlot(options(place, names), data, place));
    figure.querySelector("svg").setAttribute("hidden", "");
    figure.querySelector(".axis").setAttribute("hidden", "");
  }

  async function update() {
    const answer = await fetch("/overview.json", { credentials: "same-origin" });
    if (!answer.ok) {
      return HOUR_S;
    }
    const document_ = await answer.json();
    for (const figure of document.querySelectorAll("figure[data-chart]")) {
      draw(figure, document_.at, document_.charts[figure.dataset.chart]);
    }
    return document_.every_s;
  }

  function again() {
    update().then((wait_s) => setTimeout(again, wait_s * 1000), () => setTimeout(again, 15000));
  }

  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const [figure, plot] of drawn) {
      const place = plot.root.parentElement;
      plot.destroy();
      place.remove();
      drawn.delete(figure);
    }
    update();
  });
  window.addEventListener("resize", () => {
    for (const [figure, plot] of drawn) {
      plot.setSize({ width: figure.clientWidth - PADDING, height: HEIGHT });
    }
  });
  again();
})();
