// The line that waits for the first request: told over a stream, or asked for every three seconds.
(() => {
  'use strict';

  const ASK_EVERY_MS = 3000;
  const box = document.getElementById('line');
  if (!box) return;
  let source;
  let asking;

  const arrived = () => box.querySelector('[data-arrived]') !== null;

  function show(html) {
    box.innerHTML = html;
    if (!arrived()) return;
    stop();
    for (const step of document.querySelectorAll('[data-done-when-arrived]')) {
      step.classList.add('done');
      step.textContent = '✓';
    }
    const badge = document.querySelector('a[href="/get-started"] .badge');
    if (badge) badge.textContent = box.querySelector('[data-arrived]').dataset.steps;
  }

  async function ask() {
    try {
      const answer = await fetch(box.dataset.ask, { headers: { 'HX-Request': 'true' } });
      if (answer.status === 200 && !answer.redirected) show(await answer.text());
    } catch {
      // Offline: the next turn asks again.
    }
  }

  function stop() {
    if (source) source.close();
    clearInterval(asking);
    source = asking = undefined;
  }

  function start() {
    if (source || asking || arrived() || document.hidden) return;
    source = new EventSource(box.dataset.events);
    source.addEventListener('line', (event) => show(event.data));
    source.addEventListener('done', stop);
    source.addEventListener('error', () => {
      // The browser opens a broken stream again by itself; a refused one it gives up.
      if (source && source.readyState === EventSource.CLOSED) {
        source = undefined;
        asking = setInterval(ask, ASK_EVERY_MS);
      }
    });
  }

  // A hidden tab waits without asking.
  document.addEventListener('visibilitychange', () => (document.hidden ? stop() : start()));
  start();
})();
