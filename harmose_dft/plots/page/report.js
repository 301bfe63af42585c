"use strict";
// Unpacks plotly.js from the page itself, runs it, and draws the figures.
const figures = JSON.parse(document.getElementById("figures").textContent);

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function explain(message) {
  for (const place of document.querySelectorAll(".figure")) {
    if (!place.querySelector(".plot-container")) {
      place.textContent = message;
      place.classList.add("missing");
    }
  }
}

async function draw() {
  const script = document.createElement("script");
  script.textContent = await unpack(document.getElementById("viewer").textContent.trim());
  document.head.append(script);
  const config = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset" };
  for (const [name, figure] of Object.entries(figures)) {
    const place = document.getElementById(name);
    await window.Plotly.newPlot(place, figure.data, figure.layout, { ...config, scrollZoom: Boolean(figure.layout.scene) });
    place.classList.add("drawn");
  }
  document.documentElement.dataset.drawn = "yes";
}

if (typeof DecompressionStream === "undefined") {
  explain("The pictures of this page need a newer browser: Firefox 113, Chrome 80, Safari 16.4 or later.");
} else {
  draw().catch((error) => {
    explain("This browser cannot show the picture. It needs WebGL, which may be switched off.");
    console.error(error);
  });
}
