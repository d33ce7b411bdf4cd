// The list of requests: the live tail, a time chosen by dragging, filters that belong together.
(() => {
  'use strict';

  const ROWS_MAX = 200;
  const GAP_PX = 6;
  let source = null;
  let wanted = false;

  const button = () => document.querySelector('[data-live]');

  // Live: one connection, closed while nobody looks. Rows come whole, so nothing is asked again.
  function start() {
    const toggle = button();
    if (!toggle || document.hidden || source) return;
    const address = new URL(toggle.dataset.live, location.href);
    const top = document.querySelector('#rows tr');
    if (top) address.searchParams.set('after', top.dataset.cursor);
    source = new EventSource(address);
    source.addEventListener('row', (event) => add(event.data));
    source.addEventListener('done', () => { wanted = false; stop(); });
    source.addEventListener('error', () => {
      // The browser tries again by itself, unless the server refused.
      if (source && source.readyState === EventSource.CLOSED) { wanted = false; stop(); }
    });
    show();
  }

  function stop() {
    if (source) source.close();
    source = null;
    show();
  }

  function show() {
    const toggle = button();
    if (!toggle) return;
    toggle.setAttribute('aria-pressed', String(wanted));
    const poll = document.querySelector('.newer');
    // What the tail shows needs no announcement of its own.
    if (poll) poll.hidden = wanted;
    if (poll && wanted) poll.textContent = '';
  }

  const micros = (row) => Number(row.dataset.cursor.split('-')[0]);

  function add(html) {
    const body = document.getElementById('rows');
    const holder = document.createElement('template');
    holder.innerHTML = html.trim();
    const row = holder.content.firstElementChild;
    if (!body || !row || document.getElementById(row.id)) return;
    row.classList.add('new');
    // One that took long began before rows that are shown already.
    const below = [...body.children].find((other) => micros(other) <= micros(row));
    body.insertBefore(row, below || null);
    while (body.children.length > ROWS_MAX) body.lastElementChild.remove();
  }

  document.addEventListener('click', (event) => {
    const toggle = event.target.closest('[data-live]');
    if (toggle) {
      wanted = !wanted;
      if (wanted) start(); else stop();
    }
    const remove = event.target.closest('[data-remove]');
    if (remove) {
      const form = remove.closest('form');
      remove.closest('.chip').remove();
      form.dispatchEvent(new Event('change', { bubbles: true }));
    }
    // A menu of check boxes closes when the pointer goes elsewhere.
    for (const open of document.querySelectorAll('details.more[open]')) {
      if (!open.contains(event.target)) open.open = false;
    }
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    const open = event.target.closest('details.more[open]');
    if (open) { open.open = false; open.querySelector('summary').focus(); }
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) { if (source) source.close(); source = null; } else if (wanted) start();
  });
  document.addEventListener('htmx:beforeRequest', (event) => {
    if (wanted && event.detail.elt.matches('.newer')) event.preventDefault();
  });
  // Other filters, another list: the tail follows it.
  document.addEventListener('htmx:afterSwap', (event) => {
    if (event.detail.target.id !== 'results') return;
    stop();
    if (wanted && button()) start();
  });
  addEventListener('pagehide', () => { if (source) source.close(); source = null; });

  // A named range and a custom time exclude each other.
  document.addEventListener('change', (event) => {
    const form = event.target.closest('#filters');
    if (!form) return;
    if (event.target.id === 'filter-range') {
      form.elements.from.value = '';
      form.elements.to.value = '';
    }
    if (event.target.name === 'provider') {
      const chosen = [...form.querySelectorAll('[name=provider]:checked')].map((box) => box.value);
      const words = { 0: 'All providers', 1: chosen[0] };
      form.querySelector('#filter-provider').textContent = words[chosen.length] || `${chosen.length} providers`;
    }
    const narrowed = [...new FormData(form)].some(([name, value]) => value && !['range', 'from', 'to'].includes(name));
    document.getElementById('clear').hidden = !narrowed;
  }, true);

  // Dragging over the bars chooses their time; a click is the link of its bar.
  let from = null;
  const barAt = (svg, x) => [...svg.querySelectorAll('.hit')].find((hit) => {
    const box = hit.getBoundingClientRect();
    return x >= box.left && x < box.right;
  });
  const time = (hit) => (hit.dataset.from ? hit : hit.closest('[data-from]')).dataset;

  document.addEventListener('pointerdown', (event) => {
    const svg = event.target.closest('svg.bars');
    if (svg && event.button === 0) from = { svg, x: event.clientX, moved: false };
  });
  document.addEventListener('pointermove', (event) => {
    if (!from || Math.abs(event.clientX - from.x) < GAP_PX) return;
    from.moved = true;
    const [left, right] = [from.x, event.clientX].sort((a, b) => a - b);
    for (const hit of from.svg.querySelectorAll('.hit')) {
      const box = hit.getBoundingClientRect();
      hit.classList.toggle('chosen', box.right > left && box.left < right);
    }
  });
  document.addEventListener('pointerup', (event) => {
    if (!from) return;
    const { svg, x, moved } = from;
    from = null;
    const chosen = [...svg.querySelectorAll('.hit.chosen')];
    if (!moved || !chosen.length) return;
    const address = new URL(location.href);
    for (const name of ['range', 'older', 'newer']) address.searchParams.delete(name);
    address.searchParams.set('from', time(chosen[0]).from);
    address.searchParams.set('to', time(chosen[chosen.length - 1]).to);
    location.assign(address);
  });
  // The link under a drag is not followed.
  document.addEventListener('dragstart', (event) => {
    if (event.target.closest && event.target.closest('svg.bars')) event.preventDefault();
  });
  document.addEventListener('click', (event) => {
    if (event.target.closest('svg.bars') && document.querySelector('svg.bars .hit.chosen')) event.preventDefault();
  }, true);
})();
