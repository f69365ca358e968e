//! A page in a headless browser.

use headless_chrome::protocol::cdp::{Emulation, Input, Page as Pages, Runtime, types::Event};
use headless_chrome::{Browser, LaunchOptions, Tab};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) struct Page {
    tab: Arc<Tab>,
    /// What the console says is wrong.
    errors: Arc<Mutex<Vec<String>>>,
    // The browser ends with it.
    _browser: Browser,
}

impl Page {
    /// Opens a file, at a desktop's width.
    pub(crate) fn open(browser: &Path, file: &Path) -> Self {
        // WebGL in software: a machine that tests has no graphics card.
        let args = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required", "--mute-audio"];
        let options = LaunchOptions {
            path: Some(browser.to_owned()),
            sandbox: false,
            args: args.iter().map(OsStr::new).collect(),
            window_size: Some((1280, 900)),
            idle_browser_timeout: Duration::from_secs(300),
            ..LaunchOptions::default()
        };
        let browser = Browser::new(options).unwrap();
        let tab = browser.new_tab().unwrap();
        tab.set_default_timeout(Duration::from_secs(60));
        tab.enable_log().unwrap().enable_runtime().unwrap();
        let errors = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&errors);
        let listener = move |event: &Event| {
            if let Some(error) = wrong(event) {
                heard.lock().unwrap().push(error);
            }
        };
        tab.add_event_listener(Arc::new(listener)).unwrap();
        let page = Self { tab, errors, _browser: browser };
        page.width(1280, 900);
        let url = format!("file://{}", std::path::absolute(file).unwrap().display());
        page.tab.navigate_to(&url).unwrap().wait_until_navigated().unwrap();
        page
    }

    /// What a script returns; it may await.
    pub(crate) fn run(&self, script: &str) -> Value {
        let expression = format!("(async () => {{ {HELPERS}\n{script} }})()");
        let call = Runtime::Evaluate {
            expression,
            return_by_value: Some(true),
            await_promise: Some(true),
            user_gesture: Some(true),
            object_group: None,
            include_command_line_api: None,
            silent: None,
            context_id: None,
            generate_preview: None,
            throw_on_side_effect: None,
            timeout: None,
            disable_breaks: None,
            repl_mode: None,
            allow_unsafe_eval_blocked_by_csp: None,
            unique_context_id: None,
            serialization_options: None,
        };
        let result = self.tab.call_method(call).unwrap();
        assert!(result.exception_details.is_none(), "{script}\n{:?}", result.exception_details);
        result.result.value.unwrap_or(Value::Null)
    }

    /// Whether a script says yes.
    pub(crate) fn says(&self, script: &str) -> bool {
        self.run(script).as_bool().unwrap_or(false)
    }

    /// Real mouse events, from one point to another.
    pub(crate) fn drag(&self, from: (f64, f64), to: (f64, f64)) {
        let mouse = |kind, (x, y): (f64, f64), buttons| {
            let call = Input::DispatchMouseEvent {
                Type: kind,
                x,
                y,
                button: Some(Input::MouseButton::Left),
                buttons: Some(buttons),
                click_count: Some(1),
                modifiers: None,
                timestamp: None,
                force: None,
                tangential_pressure: None,
                tilt_x: None,
                tilt_y: None,
                twist: None,
                delta_x: None,
                delta_y: None,
                pointer_Type: None,
            };
            self.tab.call_method(call).unwrap();
        };
        mouse(Input::DispatchMouseEventTypeOption::MousePressed, from, 1);
        for step in 1..=5 {
            let part = f64::from(step) / 5.0;
            mouse(Input::DispatchMouseEventTypeOption::MouseMoved, (from.0 + part * (to.0 - from.0), from.1 + part * (to.1 - from.1)), 1);
        }
        mouse(Input::DispatchMouseEventTypeOption::MouseReleased, to, 0);
    }

    /// A real key.
    pub(crate) fn key(&self, key: &str) {
        self.tab.press_key(key).unwrap();
    }

    pub(crate) fn width(&self, width: u32, height: u32) {
        let call = Emulation::SetDeviceMetricsOverride {
            width,
            height,
            device_scale_factor: 1.0,
            mobile: width < 600,
            scale: None,
            screen_width: None,
            screen_height: None,
            position_x: None,
            position_y: None,
            dont_set_visible_size: None,
            screen_orientation: None,
            viewport: None,
            display_feature: None,
            device_posture: None,
        };
        self.tab.call_method(call).unwrap();
    }

    pub(crate) fn prefers(&self, scheme: &str) {
        let feature = Emulation::MediaFeature { name: "prefers-color-scheme".into(), value: scheme.into() };
        self.tab.call_method(Emulation::SetEmulatedMedia { media: None, features: Some(vec![feature]) }).unwrap();
    }

    /// A picture of what is in sight, for people.
    pub(crate) fn picture(&self, name: &str) -> Vec<u8> {
        let png = self.tab.capture_screenshot(Pages::CaptureScreenshotFormatOption::Png, None, None, true).unwrap();
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}.png"));
        std::fs::write(&path, &png).unwrap();
        println!("{}", path.display());
        png
    }

    pub(crate) fn errors(&self) -> Vec<String> {
        self.errors.lock().unwrap().clone()
    }
}

/// What every script has at hand.
const HELPERS: &str = r#"
const $ = (selector) => document.querySelector(selector);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const until = async (test, ms = 20000) => {
  for (const end = performance.now() + ms; performance.now() < end; await wait(50)) if (await test()) return true;
  return false;
};
const pixels = (canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height), paper = copy.getContext("2d", { willReadFrequently: true });
  paper.drawImage(canvas, 0, 0);
  return [...paper.getImageData(0, 0, copy.width, copy.height).data];
};
const different = (a, b) => a.reduce((sum, v, i) => sum + (Math.abs(v - b[i]) > 8 ? 1 : 0), 0);
"#;

/// What an event says is wrong. Where WebGL is drawn in software, the driver remarks that copying its picture takes time.
fn wrong(event: &Event) -> Option<String> {
    match event {
        Event::RuntimeExceptionThrown(thrown) => {
            let details = &thrown.params.exception_details;
            Some(format!("{}: {:?}", details.text, details.exception.as_ref().and_then(|e| e.description.clone())))
        }
        Event::LogEntryAdded(added) => {
            let entry = &added.params.entry;
            let level = format!("{:?}", entry.level);
            let of_driver = entry.text.contains("GL Driver Message") && entry.text.contains("ReadPixels");
            (matches!(level.as_str(), "Error" | "Warning") && !of_driver).then(|| format!("{level}: {} {:?}", entry.text, entry.url))
        }
        Event::RuntimeConsoleAPICalled(called) => {
            let kind = format!("{:?}", called.params.Type);
            matches!(kind.as_str(), "Error" | "Warning" | "Assert").then(|| format!("{kind}: {:?}", called.params.args))
        }
        _ => None,
    }
}
