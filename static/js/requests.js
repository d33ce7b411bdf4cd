// The list of requests: the live tail, a time chosen by dragging, filters, one request beside it.
(() => {
  'use strict';

  const PAGE_ROWS = 50;
  const ROWS_MAX = 200;
  const GAP_PX = 6;
  const RETRY_MS = 2000;
  const RETRIES_MAX = 5;
  let source = null;
  let wanted = false;
  let state = '';
  let failures = 0;
  let later;

  const button = () => document.querySelector('[data-live]');

  // Live: one connection, closed while nobody looks. Rows come whole, so nothing is asked again.
  function start() {
    const toggle = button();
    clearTimeout(later);
    if (!toggle || document.hidden || source) return;
    source = new EventSource(toggle.dataset.live);
    source.addEventListener('open', () => { failures = 0; show(''); });
    // Until when all is known: where the next stream goes on. Not said while rows are caught up.
    const known = ({ lastEventId }) => {
      if (lastEventId) toggle.dataset.live = toggle.dataset.live.replace(/drawn=\d+/, `drawn=${lastEventId}`);
    };
    source.addEventListener('row', (event) => { add(event.data); known(event); });
    source.addEventListener('gap', (event) => {
      known(event);
      show('Some requests from before are missing: reload the page.');
    });
    source.addEventListener('sums', (event) => redraw(event.data));
    // Its ten minutes are over, and somebody still looks.
    source.addEventListener('done', () => { stop(); later = setTimeout(start, RETRY_MS); });
    source.addEventListener('error', broken);
    show(state);
  }

  function broken() {
    if (!source) return;
    if (source.readyState !== EventSource.CLOSED) {
      // The browser tries again by itself.
      show('Reconnecting…');
      return;
    }
    source = null;
    failures += 1;
    if (failures > RETRIES_MAX) {
      wanted = false;
      show('Live has stopped.');
    } else {
      later = setTimeout(start, RETRY_MS * failures);
      show('Reconnecting…');
    }
  }

  function stop() {
    if (source) source.close();
    clearTimeout(later);
    source = null;
    show('');
  }

  function show(said) {
    state = said;
    const toggle = button();
    if (!toggle) return;
    toggle.setAttribute('aria-pressed', String(wanted));
    toggle.classList.toggle('broken', wanted && said !== '');
    document.getElementById('live-state').textContent = said;
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
    // One that took long began before rows that are shown already, or lies on a later page.
    const below = [...body.children].find((other) => micros(other) <= micros(row));
    if (!below && body.children.length >= PAGE_ROWS) return;
    body.insertBefore(row, below || null);
    while (body.children.length > ROWS_MAX) body.lastElementChild.remove();
  }

  // How many there are, and when, goes with the rows; never under the pointer that drags over it.
  function redraw(html) {
    const old = document.querySelector('.over-time');
    const holder = document.createElement('template');
    holder.innerHTML = html.trim();
    const made = holder.content.firstElementChild;
    if (!old || !made || from) return;
    const chosen = old.contains(document.activeElement) && document.activeElement.dataset.from;
    old.replaceWith(made);
    const bar = chosen && made.querySelector(`a[data-from="${CSS.escape(chosen)}"]`);
    if (bar) bar.focus();
  }

  document.addEventListener('click', (event) => {
    const toggle = event.target.closest('[data-live]');
    if (toggle) {
      wanted = !wanted;
      failures = 0;
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
    if (document.hidden) stop(); else if (wanted) start();
  });
  document.addEventListener('htmx:beforeRequest', (event) => {
    if (wanted && event.detail.elt.matches('.newer')) event.preventDefault();
  });
  // Other filters, another list, be it by Back: the tail follows it.
  function follow() {
    stop();
    if (wanted) start();
  }
  document.addEventListener('htmx:afterSwap', (event) => {
    const { target } = event.detail;
    if (target && target.id === 'results') follow();
  });
  document.addEventListener('htmx:historyRestore', follow);
  addEventListener('pagehide', stop);
  addEventListener('pageshow', (event) => { if (event.persisted && wanted) start(); });

  // A named range and a custom time exclude each other.
  document.addEventListener('change', (event) => {
    const form = event.target.closest('#filters');
    if (!form) return;
    if (event.target.id === 'filter-range') {
      form.elements.from.value = '';
      form.elements.to.value = '';
    }
    if (event.target.name === 'provider') {
      const chosen = [...form.querySelectorAll('[name=provider]:checked')].map((box) => box.labels[0].textContent.trim());
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

// One request beside the list: on wide windows its row opens a panel, and the address is its page's.
// Back and Escape close it; a reload, a middle click or a narrow window lead to the page itself.
(() => {
  'use strict';

  const wide = matchMedia('(min-width: 1200px)');
  const panel = () => document.getElementById('call-panel');
  const isOpen = () => Boolean(panel() && panel().open);
  const rows = () => [...document.querySelectorAll('#rows .opens')];
  const current = () => document.querySelector('#rows [aria-current]');
  let asked;
  let listTitle = '';

  function mark(address) {
    for (const row of rows()) row.removeAttribute('aria-current');
    const id = new URL(address, location.href).pathname.split('/').pop();
    const row = document.getElementById(`r-${id}`);
    if (!row) return;
    row.setAttribute('aria-current', 'true');
    row.scrollIntoView({ block: 'nearest' });
  }

  async function show(address, { push = true } = {}) {
    if (asked) asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const box = panel();
    const detail = document.getElementById('call-detail');
    mark(address);
    box.setAttribute('aria-busy', 'true');
    try {
      const answer = await fetch(address, {
        headers: { 'HX-Request': 'true', 'HX-Target': detail.id }, signal,
      });
      // Signed out, gone or broken: the page itself says so best.
      if (answer.status !== 200 || answer.redirected || answer.headers.has('HX-Redirect')) throw new Error('no fragment');
      const holder = document.createElement('template');
      holder.innerHTML = await answer.text();
      if (signal.aborted) return;
      const title = holder.content.querySelector('title');
      if (!isOpen()) listTitle = document.title;
      if (push) remember(address);
      if (title) { document.title = title.textContent; title.remove(); }
      detail.replaceChildren(holder.content);
      window.htmx.process(detail);
      document.getElementById('call-page').href = address;
      if (!isOpen()) box.show();
      box.scrollTop = 0;
      box.removeAttribute('aria-busy');
    } catch (error) {
      if (error.name !== 'AbortError') location.assign(address);
    }
  }

  // From row to row the address changes in place, so that Back always closes.
  function remember(address) {
    if (isOpen()) {
      history.replaceState({ panel: true }, '', address);
    } else {
      // htmx brings the list back where this script is not at hand any more.
      history.replaceState({ ...history.state, htmx: true }, '');
      history.pushState({ panel: true }, '', address);
    }
  }

  function close() {
    if (asked) asked.abort();
    const row = current();
    panel().close();
    document.getElementById('call-detail').replaceChildren();
    document.title = listTitle;
    if (!row) return;
    row.removeAttribute('aria-current');
    row.querySelector('a').focus();
  }

  // Back is what closes, so that the address goes with it.
  function leave() {
    if (history.state && history.state.panel) history.back();
    else close();
  }

  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-close-panel]')) leave();
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest('#rows .opens a, #call-detail a[rel=prev], #call-detail a[rel=next]');
    if (!link || !panel() || !wide.matches) return;
    event.preventDefault();
    show(link.href);
  });

  const types = (target) => target.closest('input:not([type=checkbox]), textarea, select, [contenteditable]');
  addEventListener('keydown', (event) => {
    if (!isOpen() || event.defaultPrevented || document.querySelector('dialog:modal')) return;
    if (event.key === 'Escape' && !event.target.closest('details.more[open]')) {
      event.preventDefault();
      leave();
      return;
    }
    const step = { j: 1, k: -1 }[event.key];
    if (!step || types(event.target) || document.documentElement.dataset.keys === 'off') return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = rows();
    const next = all[all.indexOf(current()) + step];
    event.stopImmediatePropagation();
    event.preventDefault();
    if (next) show(next.querySelector('a').href);
  }, true);

  addEventListener('popstate', (event) => {
    const wanted = Boolean(event.state && event.state.panel);
    const here = Boolean(panel() && wide.matches);
    if (wanted && here) {
      event.stopImmediatePropagation();
      show(location.href, { push: false });
    } else if (isOpen()) {
      event.stopImmediatePropagation();
      close();
    } else if (wanted || !panel()) {
      // The page in this address was not drawn by this one, or has other scripts.
      event.stopImmediatePropagation();
      location.reload();
    }
  }, true);

  // Another list, or a window that has no room any more.
  document.addEventListener('htmx:afterSwap', (event) => {
    if (event.detail.target && event.detail.target.id === 'results' && isOpen()) {
      panel().close();
    }
  });
  wide.addEventListener('change', () => { if (!wide.matches && isOpen()) location.reload(); });
})();
