"use strict";
/* Draws the charts of a page. Each has a table beside it that says the same. */

const TONES = { bad: "--nr-bad", active: "--nr-active", good: "--nr-good", caution: "--nr-caution" };

function colour(name) {
  return getComputedStyle(document.querySelector(".nr-page")).getPropertyValue(name).trim();
}

function drawn(canvas) {
  const data = JSON.parse(document.getElementById(canvas.dataset.chart).textContent);
  canvas.parentElement.hidden = false;
  return new Chart(canvas, {
    type: "bar",
    data: {
      labels: data.labels,
      datasets: [{ label: data.name, data: data.values, backgroundColor: colour(TONES[data.tone]), maxBarThickness: 48 }],
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      plugins: { legend: { display: false } },
      scales: {
        x: { ticks: { color: colour("--nr-subtle") }, grid: { display: false } },
        y: {
          beginAtZero: true,
          ticks: { color: colour("--nr-subtle"), precision: 0 },
          grid: { color: colour("--nr-line") },
        },
      },
    },
  });
}

let charts = [];

function drawAll() {
  for (const chart of charts) chart.destroy();
  charts = [...document.querySelectorAll("canvas[data-chart]")].map(drawn);
}

document.addEventListener("DOMContentLoaded", drawAll);
/* The other half of the day has other colours. */
new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["class"] });
