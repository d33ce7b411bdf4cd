// Every chart: <div class="chart" data-fig="…json" role="img" aria-busy="true"></div>.
//
// 1. Nothing is loaded until a chart comes near the view; then plotly, once, and the chart's figure.
// 2. Figures hold names of colours ($c1, $bad), which the theme's variables replace.
// 3. A chart that fails says so in its own place; the others draw.
// 4. A chart that leaves the page is purged, or plotly would keep it.
(() => {
  'use strict';
  if (window.erCharts) return;
  window.erCharts = true;

  const NEAR = '200px';
  const source = document.currentScript.dataset.plotly;
  const loaded = new WeakMap();
  let library;

  function plotly() {
    library ??= new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = source;
      script.onload = () => resolve(window.Plotly);
      script.onerror = () => { library = undefined; script.remove(); reject(new Error('plotly')); };
      document.head.append(script);
    });
    return library;
  }

  // A variable may hold light-dark(…), which only a property of an element resolves.
  const probe = document.createElement('span');
  probe.hidden = true;
  let known = {};
  function colour(name) {
    if (!known[name]) {
      if (!probe.isConnected) document.body.append(probe);
      probe.style.color = `var(--${name})`;
      known[name] = getComputedStyle(probe).color;
    }
    return known[name];
  }
  const TOKENS = { warn: 'c-warn', bad: 'c-bad', mute: 'c-mute' };
  function paint(value) {
    if (typeof value === 'string') return /^\$[a-z]\w*$/.test(value) ? colour(TOKENS[value.slice(1)] || value.slice(1)) : value;
    if (Array.isArray(value)) return typeof value[0] === 'object' ? value.map(paint) : value;
    if (value && typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, paint(inner)]));
    }
    return value;
  }

  function merge(base, more) {
    const made = { ...base };
    for (const [key, value] of Object.entries(more)) {
      const both = value && typeof value === 'object' && !Array.isArray(value);
      made[key] = both ? merge(made[key] || {}, value) : value;
    }
    return made;
  }

  function themed(layout) {
    const text = colour('chart-text');
    const grid = colour('chart-grid');
    return merge({
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: text },
      paper_bgcolor: 'rgba(0,0,0,0)',
      plot_bgcolor: 'rgba(0,0,0,0)',
      xaxis: { gridcolor: grid, linecolor: grid, zeroline: false, showgrid: false, automargin: true },
      yaxis: { gridcolor: grid, zeroline: false, rangemode: 'tozero', fixedrange: true, nticks: 5, automargin: true },
      hoverlabel: { bgcolor: colour('chart-hover'), bordercolor: grid, font: { color: colour('text') } },
      legend: { orientation: 'h', y: 1.02, yanchor: 'bottom', x: 0, font: { size: 11 }, traceorder: 'normal' },
      margin: { l: 44, r: 8, t: 24, b: 36 },
      dragmode: 'zoom',
      bargap: 0.15,
      autosize: true,
    }, layout);
  }

  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };
  function render(Plotly, element) {
    const { figure } = loaded.get(element);
    const { grain, ...layout } = figure.layout;
    const shown = screen ? { ...themed(layout), autosize: false, width: PAPER, height: element.clientHeight } : themed(layout);
    return Plotly.react(element, paint(figure.data).map((trace) => worded(trace, figure.table)), shown, CONFIG);
  }

  // A hover says a number as the table does: the table's column of the same name.
  function worded(trace, { columns, rows }) {
    const column = columns.indexOf(trace.name);
    if (column < 1) return trace;
    return { ...trace, customdata: rows.map((row) => row[column]), hovertemplate: '%{customdata}' };
  }

  async function draw(element) {
    element.setAttribute('aria-busy', 'true');
    try {
      const [Plotly, figure] = await Promise.all([plotly(), read(element.dataset.fig)]);
      if (!element.isConnected) return;
      await show(element, figure, Plotly);
    } catch (why) {
      if (element.isConnected) complain(element);
    }
    element.setAttribute('aria-busy', 'false');
  }

  // Draws at once where plotly is loaded; what it gives back is for later changes alone.
  function show(element, figure, Plotly = window.Plotly) {
    element.replaceChildren();
    loaded.set(element, { figure });
    element.setAttribute('aria-label', figure.label);
    const button = document.querySelector(`[data-table="${CSS.escape(element.id)}"]`);
    if (button) button.classList.toggle('unready', figure.empty);
    const picture = document.querySelector(`[data-png="${CSS.escape(element.id)}"]`);
    if (picture) picture.hidden = figure.empty;
    element.setAttribute('aria-busy', 'false');
    if (figure.empty) {
      element.append(say('p', figure.label.replace(/^[^.]*\. /, ''), 'chart-none'));
      return undefined;
    }
    const drawing = render(Plotly, element);
    element.dataset.ready = '1';
    if (figure.layout.grain) element.on('plotly_relayout', (change) => zoomed(element, change));
    return drawing;
  }

  async function read(address) {
    const answer = await fetch(address, { headers: { Accept: 'application/json' } });
    if (!answer.ok || !answer.headers.get('Content-Type').startsWith('application/json')) throw new Error(answer.status);
    return answer.json();
  }

  function say(tag, text, name) {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function complain(element) {
    const box = say('div', '', 'chart-error');
    box.setAttribute('role', 'status');
    const again = say('button', 'Retry', 'btn small');
    again.type = 'button';
    again.addEventListener('click', () => { element.setAttribute('role', 'img'); element.replaceChildren(); draw(element); });
    box.append(say('p', 'This chart could not be loaded. The rest of the page works.'), again);
    // A picture has no button inside.
    element.removeAttribute('role');
    element.removeAttribute('aria-label');
    element.replaceChildren(box);
  }

  // Drawing over a chart sets the page's time: both ends go into the form, as a person would do it.
  function zoomed(element, change) {
    const ends = [change['xaxis.range[0]'], change['xaxis.range[1]']];
    const form = document.getElementById('filters');
    if (!ends[0] || !form) return;
    form.elements.range.value = 'custom';
    ['from', 'to'].forEach((name, i) => { form.elements[name].value = quarter(ends[i], i); });
    form.elements.range.dispatchEvent(new Event('change', { bubbles: true }));
  }

  // A custom time begins as the one that is shown; a named one needs no ends in the address.
  document.addEventListener('change', (event) => {
    const shown = document.querySelector('#results .when');
    if (event.target.id !== 'filter-range' || event.target.value !== 'custom' || !shown || !event.isTrusted) return;
    for (const name of ['from', 'to']) event.target.form.elements[name].value = shown.dataset[name];
  }, true);
  document.addEventListener('htmx:configRequest', (event) => {
    const { parameters, elt } = event.detail;
    if (elt.id !== 'filters' || !parameters.range || parameters.range === 'custom') return;
    delete parameters.from;
    delete parameters.to;
  });

  // A custom time without an end says nothing yet.
  document.addEventListener('htmx:beforeRequest', (event) => {
    const { range, from, to } = event.detail.elt.elements || {};
    if (range && range.value === 'custom' && from && !from.value && !to.value) event.preventDefault();
  });

  // "2026-11-01 18:07:12.5", on the organization's clock, to the quarter of an hour around it.
  function quarter(text, up) {
    const at = new Date(`${text.replace(' ', 'T').slice(0, 19).padEnd(10)}${text.length <= 10 ? 'T00:00' : ''}Z`);
    const ms = 15 * 60 * 1000;
    const rounded = new Date((up ? Math.ceil : Math.floor)(at / ms) * ms);
    return rounded.toISOString().slice(0, 16);
  }

  // A picture has what the page around the chart says: the ground and the title.
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('[data-png]');
    const element = button && document.getElementById(button.dataset.png);
    if (!element || !loaded.has(element)) return;
    button.closest('details').open = false;
    const { figure } = loaded.get(element);
    const { grain, ...layout } = figure.layout;
    const size = { width: 1200, height: 480 };
    const whole = merge(themed(layout), {
      ...size, autosize: false, paper_bgcolor: colour('surface'), margin: { t: 80 },
      title: { text: figure.label, x: 0, xref: 'paper', y: 0.96, yanchor: 'top', font: { size: 15, color: colour('text') } },
    });
    try {
      const Plotly = await plotly();
      const made = await Plotly.toImage({ data: paint(figure.data), layout: whole }, { format: 'png', scale: 2, ...size });
      const link = document.createElement('a');
      link.href = made;
      link.download = `${button.dataset.file}.png`;
      link.click();
    } catch (why) {
      document.dispatchEvent(new CustomEvent('toast', { detail: { text: 'The browser could not make the picture.', bad: true } }));
    }
  });

  // The same as a table, for who does not see the chart or wants its numbers.
  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-table]');
    const element = button && document.getElementById(button.dataset.table);
    if (!element || !loaded.has(element)) return;
    const on = button.getAttribute('aria-pressed') !== 'true';
    button.setAttribute('aria-pressed', String(on));
    button.textContent = on ? 'Show as chart' : 'Show as table';
    if (window.Plotly) window.Plotly.purge(element);
    delete element.dataset.ready;
    element.classList.toggle('as-table', on);
    element.replaceChildren();
    if (on) {
      const { figure } = loaded.get(element);
      element.removeAttribute('role');
      element.tabIndex = 0;
      element.append(table(figure));
    } else {
      element.setAttribute('role', 'img');
      element.removeAttribute('tabindex');
      draw(element);
    }
  });

  function table(figure) {
    const made = document.createElement('table');
    const caption = say('caption', figure.label, 'sr');
    const head = document.createElement('tr');
    figure.table.columns.forEach((name, i) => {
      const cell = say('th', name, i ? 'right' : '');
      cell.scope = 'col';
      head.append(cell);
    });
    const thead = document.createElement('thead');
    thead.append(head);
    const body = document.createElement('tbody');
    body.append(...figure.table.rows.map(row));
    made.append(caption, thead, body);
    if (figure.table.total) {
      const foot = document.createElement('tfoot');
      foot.append(row(figure.table.total));
      made.append(foot);
    }
    return made;
  }

  function row(texts) {
    const line = document.createElement('tr');
    texts.forEach((text, i) => {
      const cell = say(i ? 'td' : 'th', text, i ? 'right num' : '');
      if (!i) cell.scope = 'row';
      line.append(cell);
    });
    return line;
  }

  // Paper is white, narrower than a screen, and waits for nothing: what was not looked at yet is
  // read and drawn before the browser goes on.
  const PAPER = 680;
  let screen;
  addEventListener('beforeprint', () => {
    if (screen || !window.Plotly || !document.querySelector('.chart[data-fig]')) return;
    const root = document.documentElement;
    screen = { theme: root.dataset.theme };
    root.dataset.theme = 'light';
    known = {};
    for (const element of document.querySelectorAll('.chart[data-fig]:not(.as-table)')) {
      try {
        if (!loaded.has(element)) {
          near.unobserve(element);
          show(element, readNow(element.dataset.fig));
        } else if (element.dataset.ready) render(window.Plotly, element);
      } catch (why) { /* It stays as it is on the screen. */ }
    }
  });
  addEventListener('afterprint', () => {
    if (!screen) return;
    const { theme } = screen;
    screen = undefined;
    if (theme === undefined) delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    retheme();
  });

  function readNow(address) {
    const asked = new XMLHttpRequest();
    asked.open('GET', address, false);
    asked.send();
    if (asked.status !== 200) throw new Error(asked.status);
    return JSON.parse(asked.responseText);
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: NEAR });
  function scan(root) {
    for (const element of root.querySelectorAll('.chart[data-fig]:not([data-seen])')) {
      element.dataset.seen = '1';
      near.observe(element);
    }
  }
  function retheme() {
    known = {};
    if (!window.Plotly) return;
    for (const element of document.querySelectorAll('.chart[data-ready]')) render(window.Plotly, element);
  }

  scan(document);
  document.addEventListener('htmx:load', (event) => scan(event.target.parentElement || document));
  document.addEventListener('htmx:beforeCleanupElement', (event) => {
    const element = event.target;
    if (!element.matches || !element.matches('.chart')) return;
    near.unobserve(element);
    if (window.Plotly) window.Plotly.purge(element);
  });
  document.addEventListener('theme', () => setTimeout(retheme));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', retheme);
})();
