// A player: the clip's video, and beside it the listener in 3D, which follows the video's time; where there is no video it has a
// transport of its own.
const bytesOf = (text) => {
  const packed = text.slice(text.indexOf(",") + 1);
  return Uint8Array.fromBase64 ? Uint8Array.fromBase64(packed) : Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
};
// What the page carries, decoded once and when first asked for.
const decoded = new Map();
const once = (id, make) => {
  if (!decoded.has(id)) decoded.set(id, make(document.getElementById(id).textContent));
  return decoded.get(id);
};
const videoSource = (id) => once(id, (text) => (text.startsWith("data:") ? URL.createObjectURL(new Blob([bytesOf(text)], { type: "video/mp4" })) : text));
// A listener may begin as another one does: the same face in another clip.
const listenerBytes = (id) => {
  const element = document.getElementById(id), rest = bytesOf(element.textContent), { like, shared } = element.dataset;
  if (like === undefined) return rest;
  const whole = new Uint8Array(Number(shared) + rest.length);
  whole.set(bytesOf(document.getElementById(like).textContent).subarray(0, Number(shared)));
  whole.set(rest, Number(shared));
  return whole;
};
const model = (id) => once(id, () => GLB.load(listenerBytes(id)));
const players = new Set();

class Player {
  constructor(host) {
    this.host = host;
    host.player = this;
    host.append(document.getElementById("player").content.cloneNode(true));
    const clip = host.dataset.clip, store = document.getElementById(`video-${clip}`);
    this.eye = { yaw: -0.35, pitch: 0.06, zoom: 1 };
    this.time = 0;
    this.stale = true;
    this.film(store);
    this.solid([...document.querySelectorAll(`script[data-clip="${clip}"]`)], store);
    players.add(this);
    wake();
  }

  film(store) {
    const film = this.host.querySelector(".film"), video = film.querySelector("video");
    if (!store) return film.remove();
    this.video = video;
    // The clip's scores take the room below the video.
    const scores = this.host.nextElementSibling;
    if (scores?.classList.contains("facts")) film.append(scores);
    video.width = Number(store.dataset.width);
    video.height = Number(store.dataset.height);
    video.setAttribute("aria-label", `Speaker and listeners of ${this.host.dataset.name}`);
    for (const event of ["play", "seeking", "seeked", "timeupdate", "loadeddata"]) video.addEventListener(event, wake);
    video.addEventListener("play", () => players.forEach((other) => other === this || other.pause()));
    video.src = videoSource(store.id);
  }

  solid(listeners, store) {
    const solid = this.host.querySelector(".solid");
    if (listeners.length === 0 || !Draw.available()) {
      if (listeners.length > 0) this.says("This browser has no WebGL: the 3D listener cannot be drawn.");
      return solid.remove();
    }
    this.host.classList.add("with-solid");
    const select = solid.querySelector("select");
    listeners.forEach(({ id, dataset }) => select.add(new Option(dataset.label, id)));
    select.addEventListener("change", () => this.show(select.value));
    this.canvas = solid.querySelector("canvas");
    solid.querySelector(".front").addEventListener("click", () => this.look({ yaw: 0, pitch: 0, zoom: 1 }));
    this.pointer();
    this.keys();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    const transport = solid.querySelector(".transport");
    if (store) transport.remove(); else this.transport(transport);
    this.resize();
    this.show(select.value);
  }

  says(text) {
    const note = document.createElement("p");
    note.className = "notice";
    note.textContent = text;
    this.host.append(note);
  }

  show(id) {
    try {
      this.model = model(id);
    } catch (error) {
      this.model = undefined;
      this.says(`This listener cannot be shown: ${error.message}`);
      return;
    }
    const label = document.getElementById(id).dataset.label;
    this.canvas.setAttribute("aria-label", `${label} of ${this.host.dataset.name} in 3D. Arrow keys turn it, plus and minus zoom, zero turns it to the front.`);
    if (this.scrub) this.scrub.max = this.model.duration;
    this.stale = true;
    wake();
  }

  resize() {
    const scale = Math.min(window.devicePixelRatio || 1, 2);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * scale)), height = Math.max(1, Math.round(this.canvas.clientHeight * scale));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
      this.stale = true;
      wake();
    }
  }

  look(change) {
    Object.assign(this.eye, change);
    this.eye.pitch = Math.min(1.3, Math.max(-1.3, this.eye.pitch));
    this.eye.zoom = Math.min(4, Math.max(0.5, this.eye.zoom));
    this.stale = true;
    wake();
  }

  pointer() {
    const { canvas } = this, down = new Map();
    const spread = () => { const [a, b] = [...down.values()]; return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0; };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
    });
    canvas.addEventListener("pointermove", (event) => {
      const last = down.get(event.pointerId);
      if (!last) return;
      const before = spread();
      down.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (down.size > 1) return this.look({ zoom: (this.eye.zoom * spread()) / (before || 1) });
      this.look({ yaw: this.eye.yaw + (event.clientX - last.x) * 0.01, pitch: this.eye.pitch + (event.clientY - last.y) * 0.01 });
    });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => down.delete(event.pointerId));
    // Only with Ctrl, so that the page scrolls as ever.
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.look({ zoom: this.eye.zoom * Math.exp(-event.deltaY * 0.002) });
    }, { passive: false });
  }

  keys() {
    this.canvas.addEventListener("keydown", (event) => {
      const { yaw, pitch, zoom } = this.eye;
      const change = {
        ArrowLeft: { yaw: yaw - 0.15 }, ArrowRight: { yaw: yaw + 0.15 }, ArrowUp: { pitch: pitch - 0.12 }, ArrowDown: { pitch: pitch + 0.12 },
        "+": { zoom: zoom * 1.15 }, "=": { zoom: zoom * 1.15 }, "-": { zoom: zoom / 1.15 }, 0: { yaw: 0, pitch: 0, zoom: 1 }, Home: { yaw: 0, pitch: 0, zoom: 1 },
      }[event.key];
      if (event.key === " ") this.toggle();
      else if (!change || event.ctrlKey || event.altKey || event.metaKey) return;
      else this.look(change);
      event.preventDefault();
    });
  }

  transport(parts) {
    this.go = parts.querySelector(".go");
    this.scrub = parts.querySelector("input");
    this.clock = parts.querySelector("output");
    this.go.addEventListener("click", () => this.toggle());
    this.scrub.addEventListener("input", () => { this.time = Number(this.scrub.value); this.stale = true; wake(); });
  }

  get running() {
    return this.video ? !this.video.paused && !this.video.ended : Boolean(this.began);
  }

  play() {
    if (this.video) return this.video.play().catch(() => {});
    players.forEach((other) => other === this || other.pause());
    this.began = performance.now() - this.time * 1000;
    if (this.go) this.go.textContent = "Pause";
    wake();
  }

  pause() {
    if (this.video) return this.video.pause();
    this.began = 0;
    if (this.go) this.go.textContent = "Play";
  }

  toggle() {
    if (this.running) this.pause(); else this.play();
  }

  // Draws what the time shows, if that is anything new.
  tick(now) {
    if (!this.model) return;
    let time = this.time;
    if (this.video) time = this.video.currentTime;
    else if (this.began) time = ((now - this.began) / 1000) % (this.model.duration || 1);
    if (time === this.time && !this.stale) return;
    if (this.scrub) { this.scrub.value = time; this.clock.textContent = `${time.toFixed(1)} s`; }
    this.time = time;
    this.stale = false;
    Draw.frame(this.model, time, this.eye, this.canvas);
  }

  close() {
    this.pause();
    players.delete(this);
  }
}

// One clock for all players; it rests while nothing moves.
let waiting = 0;
function wake() {
  waiting ||= requestAnimationFrame((now) => {
    waiting = 0;
    players.forEach((player) => player.tick(now));
    if ([...players].some((player) => player.running || player.stale && player.model)) wake();
  });
}
