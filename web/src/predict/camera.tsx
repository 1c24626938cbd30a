// A picture from the camera, taken when the person says so.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Dialog } from "../ui/parts";

const LONGEST_SIDE = 2048;
const JPEG_QUALITY = 0.92;

/** What a browser's refusal of the camera means, and what to do about it. */
export function cameraProblem(thrown: unknown, secure: boolean): string {
  const name = thrown instanceof Error ? thrown.name : "";
  if (!secure) return "Browsers give the camera to pages over https only. Choose a file instead, or open this page over https.";
  if (name === "NotAllowedError" || name === "SecurityError")
    return "The browser was told not to give the camera to this page. Allow it in the browser's settings for this page, and try again.";
  if (name === "NotFoundError" || name === "OverconstrainedError")
    return "No camera was found. Connect one and try again, or choose a file.";
  if (name === "NotReadableError" || name === "AbortError") return "Another program uses the camera. Close it there and try again.";
  return "The camera cannot be used here. Choose a file instead.";
}

export function CameraDialog(props: { onTaken: (file: File) => void; onClose: () => void }): JSX.Element {
  const video = useRef<HTMLVideoElement>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [ready, setReady] = useState(false);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    let stream: MediaStream | null = null;
    let gone = false;
    const end = (): void => {
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
    const start = async (): Promise<void> => {
      try {
        if (!navigator.mediaDevices) throw new Error("this page has no camera");
        stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
        if (gone || !video.current) return end();
        video.current.srcObject = stream;
        await video.current.play();
        setReady(true);
      } catch (thrown) {
        end();
        if (!gone) setProblem(cameraProblem(thrown, isSecureContext));
      }
    };
    void start();
    return () => {
      gone = true;
      end();
    };
  }, [attempt]);

  const take = async (): Promise<void> => {
    const source = video.current;
    if (!source || source.videoWidth === 0) return;
    const factor = Math.min(1, LONGEST_SIDE / Math.max(source.videoWidth, source.videoHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(source.videoWidth * factor);
    canvas.height = Math.round(source.videoHeight * factor);
    canvas.getContext("2d")?.drawImage(source, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
    if (blob) props.onTaken(new File([blob], "camera.jpg", { type: "image/jpeg" }));
  };
  return (
    <Dialog title="Take a picture" onClose={props.onClose}>
      <video ref={video} class="camera" muted playsInline hidden={problem !== null} aria-label="What the camera sees" />
      <div role="alert" class="trouble-slot">
        {problem && <p class="trouble">{problem}</p>}
      </div>
      <div class="actions">
        <button type="button" onClick={props.onClose}>
          Cancel
        </button>
        {problem ? (
          <button
            type="button"
            class="primary"
            onClick={() => {
              setProblem(null);
              setAttempt(attempt + 1);
            }}
          >
            Try again
          </button>
        ) : (
          <button type="button" class="primary" disabled={!ready} onClick={() => void take()}>
            Take it
          </button>
        )}
      </div>
    </Dialog>
  );
}
